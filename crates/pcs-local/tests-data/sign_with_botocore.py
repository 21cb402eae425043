"""Writes botocore-sigv4.json: requests for execute-api signed by botocore (Apache-2.0), the signer that is not ours.

Run it with boto3 installed when a case is added: python sign_with_botocore.py
"""

import datetime
import json
import pathlib
from urllib.parse import urlsplit

import botocore
import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 11, 20, 9, 0, 39)
ACCESS_KEY, SECRET_KEY = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEXAMPLE//token+with/slashes=="
REGION, SERVICE = "us-east-1", "execute-api"
BASE = "http://127.0.0.1:3000"
JSON_BODY = json.dumps({"clusterName": "dåta", "size": "SMALL"}, ensure_ascii=False)

CASES = [
    ("list", "GET", "/v1/clusters", {}, ""),
    ("query in order", "GET", "/v1/clusters?maxResults=5&region=us-east-1", {}, ""),
    ("query out of order", "GET", "/v1/clusters?region=us-east-1&maxResults=5", {}, ""),
    ("value without a name's equals sign", "GET", "/v1/clusters?dryrun=", {}, ""),
    ("arn in the query", "GET", "/v1/tags?resourceArn=arn%3Aaws%3Apcs%3Aus-east-1%3A123456789012%3Acluster%2Fpcs_abc", {}, ""),
    ("encoded space and plus", "DELETE", "/v1/tags?tagKeys=a%20b%2Bc", {}, ""),
    ("utf-8 in the query", "DELETE", "/v1/tags?tagKeys=%E1%88%B4", {}, ""),
    ("encoded path", "GET", "/v1/clusters/a%20b%2Fc", {}, ""),
    ("lower-case escape in the path", "GET", "/v1/clusters/a%2fb", {}, ""),
    ("utf-8 in the path", "GET", "/v1/clusters/%E1%88%B4", {}, ""),
    ("dots in the path", "GET", "/v1/clusters/../clusters/./x", {}, ""),
    ("slashes in the path", "GET", "//v1///clusters//", {}, ""),
    ("encoded dots in the path", "GET", "/v1/clusters/%2e%2e/queues", {}, ""),
    ("at sign and equals sign in the path", "GET", "/v1/clusters/@x%3D=", {}, ""),
    ("colon and tilde in the path", "GET", "/v1/clusters/a:b~c-_.", {}, ""),
    ("json body", "POST", "/v1/clusters", {"Content-Type": "application/json"}, JSON_BODY),
    ("patch with a query", "PATCH", "/v1/clusters/x?dryrun=true", {"Content-Type": "application/json"}, "{}"),
    ("spaces in a header", "GET", "/v1/clusters", {"X-Team": "  two   words "}, ""),
    ("date header", "GET", "/v1/clusters", {"Date": "Fri, 20 Nov 2026 09:00:39 GMT"}, ""),
]
# botocore's query signer moves a body into the query and merges repeated parameters: no such cases there.
QUERY_CASES = [case for case in CASES if not case[4] and "Date" not in case[3]]
REPEATED = ("repeated parameter", "DELETE", "/v1/tags?tagKeys=b&tagKeys=a", {}, "")


def signed(case, auth_type, token):
    name, method, target, headers, body = case
    request = AWSRequest(method=method, url=BASE + target, headers=headers, data=body.encode())
    request.headers["Host"] = urlsplit(BASE).netloc
    credentials = Credentials(ACCESS_KEY, SECRET_KEY, token)
    auth_type(credentials, SERVICE, REGION).add_auth(request)
    return {
        "name": name + (" with a token" if token else ""),
        "form": "header" if auth_type is botocore.auth.SigV4Auth else "query",
        "method": method,
        "target": request.url.removeprefix(BASE),
        "headers": [[key, value] for key, value in request.headers.items()],
        "body": body,
        "token": token,
    }


def main():
    botocore.auth.get_current_datetime = lambda *_, **__: NOW
    # The date header of a request is rewritten from this one.
    vectors = [signed(case, botocore.auth.SigV4Auth, None) for case in [*CASES, REPEATED]]
    vectors += [signed(CASES[1], botocore.auth.SigV4Auth, TOKEN)]
    vectors += [signed(case, botocore.auth.SigV4QueryAuth, None) for case in QUERY_CASES]
    vectors += [signed(CASES[1], botocore.auth.SigV4QueryAuth, TOKEN)]
    document = {
        "source": f"botocore {botocore.__version__}, sign_with_botocore.py",
        "time": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "service": SERVICE,
        "vectors": vectors,
    }
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    pathlib.Path(__file__).with_name("botocore-sigv4.json").write_text(text)


main()
