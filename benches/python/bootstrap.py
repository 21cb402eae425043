"""Lambda's Runtime API in Python's standard library: python bootstrap.py MODULE.HANDLER

Lighter than AWS's own runtime interface client (no logging set up, no tracing), so what it is compared with has the
harder opponent.
"""

import http.client
import importlib
import json
import os
import sys


class Context:
    """What handlers read of Lambda's context."""

    function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    function_version = "1"
    memory_limit_in_mb = 2048
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
    aws_request_id = ""

    @staticmethod
    def get_remaining_time_in_millis():
        return 28_000


def main():
    module, _, name = sys.argv[1].rpartition(".")
    handler = getattr(importlib.import_module(module), name)
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    context = Context()
    while True:
        api.request("GET", "/2018-06-01/runtime/invocation/next")
        answer = api.getresponse()
        event = json.loads(answer.read())
        context.aws_request_id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        body = json.dumps(handler(event, context)).encode()
        api.request("POST", f"/2018-06-01/runtime/invocation/{context.aws_request_id}/response", body)
        api.getresponse().read()


main()
