"""Which status each route has for each credential, in each way to run a server (expected values).

The columns: no token; a token that may read /a, one that may write /a, the admin's; one that has
expired, one that may write /b, one that was revoked; a link for /a/ that holds, one that has
expired, one of which a letter was changed.
"""

PUBLIC = """
GET     /                          200   200   200   200   200   200   200   403   403   403
GET     /a/                        200   200   200   200   200   200   200   200   410   403
GET     /a                         301   301   301   301   301   301   301   301   410   403
GET     /a/?format=json            200   200   200   200   200   200   200   200   410   403
GET     /a/?archive=zip            200   200   200   200   200   200   200   200   410   403
GET     /a/?archive=tar            200   200   200   200   200   200   200   200   410   403
GET     /a/?manifest=sha256        200   200   200   200   200   200   200   200   410   403
GET     /a/?manifest=metalink      200   200   200   200   200   200   200   200   410   403
GET     /a/one.txt                 200   200   200   200   200   200   200   200   410   403
HEAD    /a/one.txt                 200   200   200   200   200   200   200   200   410   403
OPTIONS /a/one.txt                 204   204   204   204   204   204   204   204   410   403
GET     /a/one.txt?view            200   200   200   200   200   200   200   200   410   403
GET     /a/one.srt?vtt             200   200   200   200   200   200   200   200   410   403
GET     /a/one.txt?download        200   200   200   200   200   200   200   200   410   403
GET     /a/nothing                 404   404   404   404   404   404   404   404   410   403
GET     /b/two.txt                 200   200   200   200   200   200   200   403   403   403
GET     /a/%2e%2e/b/two.txt        404   404   404   404   404   404   404   404   404   404
PUT     /a/new                     405   405   405   405   405   405   405   405   410   403
POST    /a/                        405   405   405   405   405   405   405   405   410   403
DELETE  /a/one.txt                 405   405   405   405   405   405   405   405   410   403
MOVE    /a/one.txt                 405   405   405   405   405   405   405   405   410   403
POST    /-/uploads/                404   404   404   404   404   404   404   404   404   404
GET     /-/health                  200   200   200   200   200   200   200   404   404   404
GET     /-/ready                   200   200   200   200   200   200   200   404   404   404
GET     STATIC                     200   200   200   200   200   200   200   200   200   200
GET     /-/nothing                 404   404   404   404   404   404   404   404   404   404
GET     /-/login                   404   404   404   404   404   404   404   404   404   404
"""
PRIVATE = """
GET     /                          401   403   403   200   401   403   401   403   403   403
GET     /a/                        401   200   200   200   401   403   401   200   410   403
GET     /a                         401   301   301   301   401   403   401   301   410   403
GET     /a/?format=json            401   200   200   200   401   403   401   200   410   403
GET     /a/?archive=zip            401   200   200   200   401   403   401   200   410   403
GET     /a/?archive=tar            401   200   200   200   401   403   401   200   410   403
GET     /a/?manifest=sha256        401   200   200   200   401   403   401   200   410   403
GET     /a/?manifest=metalink      401   200   200   200   401   403   401   200   410   403
GET     /a/one.txt                 401   200   200   200   401   403   401   200   410   403
HEAD    /a/one.txt                 401   200   200   200   401   403   401   200   410   403
OPTIONS /a/one.txt                 401   204   204   204   401   403   401   204   410   403
GET     /a/one.txt?view            401   200   200   200   401   403   401   200   410   403
GET     /a/one.srt?vtt             401   200   200   200   401   403   401   200   410   403
GET     /a/one.txt?download        401   200   200   200   401   403   401   200   410   403
GET     /a/nothing                 401   404   404   404   401   403   401   404   410   403
GET     /b/two.txt                 401   403   403   200   401   200   401   403   403   403
GET     /a/%2e%2e/b/two.txt        401   403   403   404   401   403   401   404   404   404
PUT     /a/new                     405   405   405   405   405   405   405   405   410   403
POST    /a/                        405   405   405   405   405   405   405   405   410   403
DELETE  /a/one.txt                 405   405   405   405   405   405   405   405   410   403
MOVE    /a/one.txt                 405   405   405   405   405   405   405   405   410   403
POST    /-/uploads/                404   404   404   404   404   404   404   404   404   404
GET     /-/health                  200   200   200   200   200   200   200   404   404   404
GET     /-/ready                   200   200   200   200   200   200   200   404   404   404
GET     STATIC                     200   200   200   200   200   200   200   200   200   200
GET     /-/nothing                 401   404   404   404   401   404   401   404   404   404
GET     /-/login                   200   200   200   200   200   200   200   404   404   404
POST    /-/login                   403   403   403   403   403   403   403   404   404   404
POST    /-/logout                  403   403   403   403   403   403   403   404   404   404
"""
