"""Schemathesis loads this: it signs each request with botocore, as it is when it goes out."""

import schemathesis
from requests.auth import AuthBase

from signed import signed_headers


class Signature(AuthBase):
    def __call__(self, request):
        kept = {name: value for name, value in request.headers.items() if name.lower() == "content-type"}
        request.headers.update(signed_headers(request.method, request.url, request.body or b"", kept))
        return request


schemathesis.auth.set_from_requests(Signature())
