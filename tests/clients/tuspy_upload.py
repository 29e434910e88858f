"""Uploads a file with tuspy: python tuspy_upload.py FILE ENDPOINT TOKEN

After a third and after two thirds it says so, and waits for a line on its standard input.
"""

import sys

from tusclient.client import TusClient

file, endpoint, token = sys.argv[1:]
client = TusClient(endpoint, headers={"Authorization": f"Bearer {token}"})
uploader = client.uploader(
    file,
    chunk_size=4 << 20,
    metadata={"filename": "folder/from-python.bin"},
    retries=600,  # five minutes: a busy machine takes its time to start a server
    retry_delay=0.5,
)
total = uploader.get_file_size()
for pause in (total // 3, 2 * total // 3):
    uploader.upload(stop_at=pause)
    print(f"at {uploader.offset} of {total}", flush=True)
    sys.stdin.readline()
uploader.upload()
print("done", flush=True)
