/* One client process: many non-blocking connections on one epoll, bodies discarded in the kernel.
 *
 *     loadgen port=8000 path=/large.bin connections=8 seconds=2 [name=value ...]
 *
 * It prints "begin" when the warm-up is over and one line of JSON when the time is over.  Then it
 * keeps its connections open until its standard input ends, so that whoever measures the server
 * can read its CPU clock while nothing is torn down yet.  loadgen.py does the same more slowly.
 *
 * A measured byte costs the client one recv(MSG_TRUNC) per arrival and no copy; a small response
 * costs epoll_wait, recv and send.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_BYTES = 4096, EVENTS = 256 };
#define UNTIL_CLOSE UINT64_MAX
#define TICK_SECONDS 0.005
#define SLOW_SECONDS 0.25    /* a slow reader takes its share so often */
#define REFUSED_SECONDS 1.0  /* a client that was told "not now" comes back after this */
#define MIB (1 << 20)
#define RECV_MOST (1u << 30)

enum phase { CONNECTING, HEAD, BODY, SLOW_BODY, RESTING, FINISHED };

struct connection {
    int fd;
    enum phase phase;
    double started, wake;
    uint64_t left;     /* of the body; UNTIL_CLOSE without Content-Length */
    uint64_t received; /* since the warm-up */
    unsigned answered;
    size_t head_used;
    char head[HEAD_BYTES + 1];
};

struct samples {
    float *values;
    size_t used, room;
};

static struct {
    double port, connections, seconds, warmup, range, length, player, close, rate, rcvbuf, pause, each;
    const char *path, *accept;
} option = {.connections = 1, .seconds = 1, .path = "/", .accept = "*/*"};

static struct connection *connections;
static struct samples first_bytes, latencies;
static uint64_t requests, errors, refused;
static unsigned resting, unfinished;
static double window_began, first_finish, last_finish;
static uint64_t random_state = 0x9E3779B97F4A7C15u;
static int poller;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t random_below(uint64_t limit) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return limit ? random_state % limit : 0;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void note(struct samples *samples, double seconds) {
    if (samples->used == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 4096;
        samples->values = realloc(samples->values, samples->room * sizeof(float));
        if (!samples->values) fail("memory");
    }
    samples->values[samples->used++] = (float)seconds;
}

/* ---- one connection: connecting, asking, resting ---- */

static void rest(struct connection *c, double seconds) {
    if (c->phase != RESTING && c->phase != SLOW_BODY) resting++;
    c->phase = RESTING;
    c->wake = now() + seconds;
}

static void drop(struct connection *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

static void open_connection(struct connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)option.port)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    int size = (int)option.rcvbuf;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) fail("socket");
    if (size) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    c->phase = CONNECTING;
    c->head_used = 0;
    c->started = now();
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
        errors++;
        drop(c);
        rest(c, TICK_SECONDS);
        return;
    }
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl");
}

static void fail_connection(struct connection *c) {
    errors++;
    drop(c);
    rest(c, TICK_SECONDS);
}

static int range_field(char *text, size_t room) {
    uint64_t length = (uint64_t)option.length, size = (uint64_t)option.range;
    if (option.player)
        return snprintf(text, room, "Range: bytes=%llu-\r\n",
                        (unsigned long long)random_below(length > 4 * MIB ? length - 4 * MIB : 1));
    if (!size) return snprintf(text, room, "%s", "");
    uint64_t first = random_below(length - size + 1);
    return snprintf(text, room, "Range: bytes=%llu-%llu\r\n", (unsigned long long)first,
                    (unsigned long long)(first + size - 1));
}

static void send_request(struct connection *c) {
    char range[96], text[1024];
    range_field(range, sizeof range);
    int length = snprintf(text, sizeof text,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: %s\r\n%s%s\r\n",
                          option.path, (int)option.port, option.accept, range,
                          option.close ? "Connection: close\r\n" : "");
    if (c->phase != CONNECTING) c->started = now(); /* a newcomer's clock runs from the connect */
    c->phase = HEAD;
    c->head_used = 0;
    if (send(c->fd, text, (size_t)length, MSG_NOSIGNAL) != length) fail_connection(c);
}

static void ask_again(struct connection *c) {
    if (option.close || option.player) drop(c);
    if (option.each && c->answered >= option.each) {
        c->phase = FINISHED;
        last_finish = now();
        if (first_finish == 0) first_finish = last_finish;
        unfinished--;
    } else if (option.pause) {
        rest(c, option.pause);
    } else if (c->fd < 0) {
        open_connection(c);
    } else {
        send_request(c);
    }
}

/* ---- one connection: what arrives ---- */

static void count_bytes(struct connection *c, uint64_t size) {
    c->received += size;
    if (c->left != UNTIL_CLOSE) c->left -= size;
}

static void response_ended(struct connection *c) {
    if (c->started >= window_began && window_began > 0) {
        note(&latencies, now() - c->started);
        requests++;
    }
    c->answered++;
    ask_again(c);
}

/* The status; sets c->left.  Whoever drops its responses early asks for 1 to 4 MiB. */
static int read_fields(struct connection *c, char *end_of_head) {
    char *length = NULL;
    *end_of_head = 0;
    for (char *line = strstr(c->head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, "content-length:", 15) == 0) length = line + 17;
    c->left = length ? strtoull(length, NULL, 10) : UNTIL_CLOSE;
    if (option.player) c->left = MIB + random_below(3 * MIB);
    return atoi(c->head + 9);
}

static void head_ended(struct connection *c, char *end_of_head) {
    size_t of_body = c->head_used - (size_t)(end_of_head + 4 - c->head);
    int status = read_fields(c, end_of_head);
    note(&first_bytes, now() - c->started);
    if (status != 200 && status != 206) {
        refused++;
        drop(c);
        rest(c, REFUSED_SECONDS);
        return;
    }
    count_bytes(c, of_body < c->left ? of_body : c->left);
    c->phase = BODY;
    if (option.rate) {
        c->phase = SLOW_BODY;
        c->wake = now() + SLOW_SECONDS * (double)random_below(1000) / 1000;
        resting++;
    }
}

static void read_head(struct connection *c, ssize_t size) {
    c->head_used += (size_t)size;
    c->head[c->head_used] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (end)
        head_ended(c, end);
    else if (c->head_used == HEAD_BYTES)
        fail_connection(c);
}

static void connection_closed(struct connection *c) {
    int is_end = c->phase == BODY && c->left == UNTIL_CLOSE;
    int is_idle = c->phase == HEAD && c->head_used == 0 && c->answered && !option.close;
    if (is_end) {
        drop(c);
        response_ended(c);
    } else if (is_idle) { /* keep-alive ended: no error, the next request is repeated */
        drop(c);
        open_connection(c);
    } else {
        fail_connection(c);
    }
}

/* Everything that has arrived.  Edge-triggered: after a short read, and after the next request, the
 * kernel tells again; only the end of a stream may already have been told. */
static void read_all(struct connection *c, int may_have_ended) {
    while (c->phase == HEAD || c->phase == BODY) {
        int in_head = c->phase == HEAD;
        size_t wanted = in_head ? HEAD_BYTES - c->head_used : c->left < RECV_MOST ? c->left : RECV_MOST;
        ssize_t size = in_head ? recv(c->fd, c->head + c->head_used, wanted, 0)
                               : recv(c->fd, NULL, wanted, MSG_TRUNC);
        if (size < 0 && errno == EAGAIN) return;
        if (size <= 0) {
            connection_closed(c);
            return;
        }
        if (in_head)
            read_head(c, size);
        else
            count_bytes(c, (uint64_t)size);
        if (c->phase == BODY && c->left == 0) {
            response_ended(c);
            return;
        }
        if ((size_t)size < wanted && !may_have_ended) return;
    }
}

static void handle(struct connection *c, uint32_t events) {
    if (c->phase == CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        int failure = 0;
        socklen_t size = sizeof failure;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
        if (failure)
            fail_connection(c);
        else
            send_request(c);
    } else if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) {
        read_all(c, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    }
}

/* ---- the clock ---- */

static void read_slowly(struct connection *c, double time) {
    size_t share = (size_t)(option.rate * SLOW_SECONDS);
    ssize_t size = recv(c->fd, NULL, c->left < share ? c->left : share, MSG_TRUNC);
    c->wake = time + SLOW_SECONDS;
    if (size > 0) count_bytes(c, (uint64_t)size);
    if (size == 0 || (size < 0 && errno != EAGAIN)) fail_connection(c);
}

static void wake_resting(double time) {
    for (int i = 0; i < (int)option.connections; i++) {
        struct connection *c = &connections[i];
        if ((c->phase != RESTING && c->phase != SLOW_BODY) || c->wake > time) continue;
        if (c->phase == SLOW_BODY) {
            read_slowly(c, time);
            continue;
        }
        resting--;
        c->phase = FINISHED;
        if (c->fd < 0)
            open_connection(c);
        else
            send_request(c);
    }
}

static void run_until(double end) {
    struct epoll_event events[EVENTS];
    double time, last_wake = 0;
    while ((time = now()) < end && unfinished) {
        int timeout = resting ? (int)(TICK_SECONDS * 1000) : (int)((end - time) * 1000) + 1;
        int count = epoll_wait(poller, events, EVENTS, timeout);
        for (int i = 0; i < count; i++) handle(events[i].data.ptr, events[i].events);
        if (resting && (time = now()) - last_wake >= TICK_SECONDS) {
            wake_resting(time);
            last_wake = time;
        }
    }
}

/* ---- what is told ---- */

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void print_percentiles(const char *name, struct samples *samples) {
    static const double shares[] = {0.5, 0.99, 0.999};
    qsort(samples->values, samples->used, sizeof(float), ascending);
    printf(", \"%s\": [", name);
    for (int i = 0; i < 3 && samples->used; i++)
        printf("%s%.9f", i ? ", " : "", (double)samples->values[(size_t)(shares[i] * (double)(samples->used - 1) + 0.5)]);
    printf("]");
}

static void print_report(double seconds) {
    uint64_t bytes = 0, least = UINT64_MAX, most = 0;
    struct rusage usage;
    for (int i = 0; i < (int)option.connections; i++) {
        uint64_t received = connections[i].received;
        bytes += received;
        least = received < least ? received : least;
        most = received > most ? received : most;
    }
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
    printf("{\"seconds\": %.6f, \"bytes\": %llu, \"requests\": %llu, \"errors\": %llu, \"refused\": %llu",
           seconds, (unsigned long long)bytes, (unsigned long long)requests,
           (unsigned long long)errors, (unsigned long long)refused);
    printf(", \"least_bytes\": %llu, \"most_bytes\": %llu", (unsigned long long)least,
           (unsigned long long)most);
    printf(", \"first_finish\": %.6f, \"last_finish\": %.6f, \"client_cpu\": %.6f",
           first_finish ? first_finish - window_began : 0,
           last_finish ? last_finish - window_began : 0, cpu);
    print_percentiles("first_byte", &first_bytes);
    print_percentiles("latency", &latencies);
    printf("}\n");
    fflush(stdout);
}

/* ---- start ---- */

static void read_options(int count, char **arguments) {
    static const struct { const char *name; double *number; } numbers[] = {
        {"port", &option.port}, {"connections", &option.connections}, {"seconds", &option.seconds},
        {"warmup", &option.warmup}, {"range", &option.range}, {"length", &option.length},
        {"player", &option.player}, {"close", &option.close}, {"rate", &option.rate},
        {"rcvbuf", &option.rcvbuf}, {"pause", &option.pause}, {"each", &option.each},
    };
    for (int i = 1; i < count; i++) {
        char *value = strchr(arguments[i], '=');
        if (!value) continue;
        *value++ = 0;
        if (strcmp(arguments[i], "path") == 0) option.path = value;
        if (strcmp(arguments[i], "accept") == 0) option.accept = value;
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++)
            if (strcmp(arguments[i], numbers[n].name) == 0) *numbers[n].number = atof(value);
    }
}

/* The warm-up counts nowhere, but who asks once needs its first bytes: they are kept for those
 * whose window sees none. */
static void begin_window(void) {
    struct samples of_warmup = first_bytes;
    for (int i = 0; i < (int)option.connections; i++) connections[i].received = 0;
    latencies.used = 0;
    requests = errors = refused = 0;
    if (option.range || option.player || option.close) of_warmup.used = 0;
    first_bytes = of_warmup;
    window_began = now();
    printf("begin\n");
    fflush(stdout);
}

int main(int count, char **arguments) {
    char byte;
    read_options(count, arguments);
    connections = calloc((size_t)option.connections, sizeof *connections);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (!connections || poller < 0) fail("start");
    unfinished = (unsigned)option.connections;
    if (!option.warmup) begin_window();
    for (int i = 0; i < (int)option.connections; i++) open_connection(&connections[i]);
    if (option.warmup) {
        run_until(now() + option.warmup);
        begin_window();
    }
    run_until(window_began + option.seconds);
    print_report(now() - window_began);
    while (read(STDIN_FILENO, &byte, 1) > 0) {}
    return 0;
}
