"""The Python clients: `clients.py NAME URL/read URL/write ...`.

Each target is asked at the same time as the others, once, as an application would.
Prints a target when its request has come to its end.
"""

import os
import sys
import threading

TIMEOUT = 60


def hvac_default(url, write):
    import hvac
    call(hvac.Client(url=url, token="root", timeout=TIMEOUT), write)


def hvac_advised(url, write):
    import hvac
    call(hvac.Client(url=url, token="root", timeout=TIMEOUT, session=advised_session()), write)


def call(client, write):
    kv = client.secrets.kv.v2
    if write:
        kv.create_or_update_secret(path="zoo", secret={"a": "b"})
    else:
        kv.read_secret_version(path="zoo", raise_on_deleted_version=False)


def requests_retry_3(url, write):
    import requests
    from requests.adapters import HTTPAdapter
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=3))
    send(session, url, write)


def requests_advised(url, write):
    send(advised_session(), url, write)


def advised_session():
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry
    retry = Retry(total=2, status_forcelist=[429, 502, 503, 504], backoff_factor=1,
                  backoff_jitter=1, backoff_max=20, retry_after_max=30,
                  respect_retry_after_header=True, raise_on_status=False)
    # 413 is retried by default if it carries Retry-After.
    retry.RETRY_AFTER_STATUS_CODES = frozenset([429, 503])
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=retry))
    return session


def send(session, url, write):
    session.request("POST" if write else "GET", f"{url}/v1/secret/zoo",
                    json={"a": "b"} if write else None, timeout=TIMEOUT)


def azure_core(url, write):
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import RetryPolicy
    from azure.core.rest import HttpRequest
    client = PipelineClient(base_url=url, policies=[RetryPolicy()])
    request = HttpRequest("POST" if write else "GET", f"{url}/v1/secret/zoo",
                          json={"a": "b"} if write else None)
    client.send_request(request)


CLIENTS = {"hvac": hvac_default, "hvac, advised": hvac_advised,
           "requests, Retry(3)": requests_retry_3, "requests, advised": requests_advised,
           "azure-core (Python)": azure_core}


def main():
    client = CLIENTS[sys.argv[1]]

    def ask(target):
        url, _, kind = target.rpartition("/")
        try:
            client(url, kind == "write")
        except Exception as error:
            print(f"{target}: {type(error).__name__}", file=sys.stderr)
        # One write: a print of two threads may mix up their lines.
        os.write(sys.stdout.fileno(), f"{target}\n".encode())

    asking = [threading.Thread(target=ask, args=(target,)) for target in sys.argv[2:]]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()


if __name__ == "__main__":
    main()
