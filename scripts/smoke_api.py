"""What scripts/smoke needs to call the API, and to ask PCS what nobody outside AWS knows. Nothing here changes anything."""

import json
import re
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.httpsession
import botocore.parsers
from botocore import UNSIGNED

# The user and the outsider of `cargo local`: AWS's documentation pairs, which open nothing in AWS.
LOCAL_USER = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
LOCAL_OUTSIDER = ("AKIAI44QH8DHBEXAMPLE", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY")

# Of the form that PCS gives out, and nobody's.
UNKNOWN_ID = "pcs_smoke00000"
UNKNOWN_NAME = "smoke-nobody"


# AWS did not answer, or something between here and there answered in its place.
UNREACHED = (botocore.exceptions.BotoCoreError, botocore.parsers.ResponseParserError)


class Failed(Exception):
    """What was looked at is not as it has to be: what that means, and what to do."""


class NotTried(Exception):
    """Why nobody knows."""


class Answer:
    def __init__(self, status, headers, content):
        self.status = status
        self.request_id = headers.get("x-amzn-requestid", "")
        self.error_type = headers.get("x-amzn-errortype", "")
        try:
            body = json.loads(content)
        except ValueError:
            body = {}
        self.body = body if isinstance(body, dict) else {}
        self.code = str(self.body.get("code", ""))
        self.message = str(self.body.get("message", ""))

    def __str__(self):
        return f"{self.status} {self.code}".strip() + (f" ({self.message})" if self.message else "")

    def is_refused_by_api_gateway(self):
        """Refusals of the function itself have other codes."""
        return self.status == 403 and self.code == "AccessDeniedException"


class Api:
    """The API at `url`, which has the stage in it and not the /v1."""

    def __init__(self, url, region, private=False):
        self.url = url.rstrip("/")
        self.region = region
        # A public name that nobody answers is a fault; a private one is not there for everybody.
        self.private = private
        self.is_silent = False
        self.http = botocore.httpsession.URLLib3Session(timeout=(10, 35))

    def call(self, credentials, method, path, query=None, body=None):
        """With no credentials, unsigned. Where nothing answers, the first call says so and the others are not made."""
        if self.is_silent:
            raise NotTried("nothing answers at the API's URL")
        url = self.url + path
        if query:
            url += "?" + urllib.parse.urlencode(query, quote_via=urllib.parse.quote, safe="")
        headers = {"Content-Type": "application/json"} if body is not None else {}
        data = json.dumps(body) if body is not None else None
        request = botocore.awsrequest.AWSRequest(method=method, url=url, data=data, headers=headers)
        if credentials:
            botocore.auth.SigV4Auth(credentials, "execute-api", self.region).add_auth(request)
        try:
            answer = self.http.send(request.prepare())
        except botocore.exceptions.BotoCoreError as error:
            self.is_silent = True
            if self.private:
                raise NotTried("the API is private and does not answer from here; run this where its VPC endpoint is "
                               "reached") from error
            raise Failed(f"nothing answers at {self.url} ({short(error)}). Look whether its name is in the DNS and "
                         "this machine may reach it") from error
        return Answer(answer.status_code, answer.headers, answer.content)


def keys(pair):
    return botocore.credentials.Credentials(*pair)


def short(error):
    return " ".join(str(error).split())[:160]


def masked(text, own=()):
    """Without what is the caller's alone: accounts, principals, ids of requests, keys and places."""
    for pattern, word in [
            (r"arn:aws[a-z-]*:(iam|sts)::[^\s\"',]+", "PRINCIPAL"),
            (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "REQUEST_ID"),
            (r"\bA[A-Z]{3}[A-Z0-9]{16}\b", "KEY"), (r"\bo-[a-z0-9]{10,32}\b", "ORGANIZATION"),
            (r"\b(vpce|vpc)-[0-9a-z]+", "VPC"), (r"\d{12}|\*{8}\d{4}", "ACCOUNT"), (r"\b\d+(\.\d+){3}\b", "ADDRESS")]:
        text = re.sub(pattern, word, text)
    for word in sorted((each for each in own if each), key=len, reverse=True):
        text = text.replace(word, "OWN")
    return text


DENIED, ABSENT, INVALID = "AccessDeniedException", "ResourceNotFoundException", "ValidationException"
# HTTP statuses of `pcs-emulator --http-statuses smithy`; without it, all are 400.
SMITHY = {DENIED: 403, ABSENT: 404, INVALID: 400, "ThrottlingException": 429}
# In words -> operation, parameters, the code of the emulator, and the codes that a switch of it gives.
QUESTIONS_TO_PCS = {
    "a cluster id that was never issued":
        ("get_cluster", {"clusterIdentifier": UNKNOWN_ID}, DENIED, {ABSENT: "--unknown-ids not-found"}),
    "a cluster name that nobody has":
        ("get_cluster", {"clusterIdentifier": UNKNOWN_NAME}, ABSENT, {DENIED: "--unknown-names denied"}),
    "queues of a cluster id that was never issued":
        ("list_queues", {"clusterIdentifier": UNKNOWN_ID}, DENIED, {ABSENT: "--unknown-ids not-found"}),
    "compute node groups of a cluster name that nobody has":
        ("list_compute_node_groups", {"clusterIdentifier": UNKNOWN_NAME}, ABSENT, {DENIED: "--unknown-names denied"}),
    "a compute node group in a cluster id that was never issued":
        ("get_compute_node_group", {"clusterIdentifier": UNKNOWN_ID, "computeNodeGroupIdentifier": "smoke"}, DENIED,
         {ABSENT: "--unknown-ids not-found"}),
    "a cluster identifier that breaks the pattern":
        ("get_cluster", {"clusterIdentifier": "-smoke"}, INVALID, {}),
    "a nextToken that was never given out": ("list_clusters", {"nextToken": "smoke"}, "InvalidToken", {}),
    "tags of a cluster ARN that was never issued":
        ("list_tags_for_resource", {"resourceArn": f"CLUSTER/{UNKNOWN_ID}"}, ABSENT, {}),
}
# The same through the API: path, query, the answer with the emulator behind it, and those that a switch of it gives.
QUESTIONS_TO_THE_API = {
    "a cluster id that was never issued":
        (f"/v1/clusters/{UNKNOWN_ID}", None, (403, "UpstreamAccessDenied"), {(404, ABSENT): "--unknown-ids not-found"}),
    "a cluster name that nobody has":
        (f"/v1/clusters/{UNKNOWN_NAME}", None, (404, ABSENT),
         {(403, "UpstreamAccessDenied"): "--unknown-names denied"}),
    "queues of a cluster id that was never issued":
        (f"/v1/clusters/{UNKNOWN_ID}/queues", None, (403, "UpstreamAccessDenied"),
         {(404, ABSENT): "--unknown-ids not-found"}),
    "a nextToken that was never given out": ("/v1/clusters", {"nextToken": "smoke"}, (400, INVALID), {}),
    "tags of a cluster ARN that was never issued":
        ("/v1/tags", {"resourceArn": f"CLUSTER/{UNKNOWN_ID}"}, (404, ABSENT), {}),
}


def place_of_clusters(region, partition, account):
    return f"arn:{partition}:pcs:{region}:{account}:cluster"


def line(asked, of, given, emulator, same, switches, own):
    """One answer, as it can be compared."""
    answer = {"asked": asked, "of": of, **{key: masked(str(value), own) if isinstance(value, str) else value
                                           for key, value in given.items()}, "emulator": emulator, "same": same}
    if not same:
        answer["switch"] = " ".join(switches) or "none"
    return answer


def answers_of_the_api(api, credentials, clusters, own):
    for asked, (path, query, emulator, switches) in QUESTIONS_TO_THE_API.items():
        query = {key: value.replace("CLUSTER", clusters) for key, value in (query or {}).items()}
        answer = api.call(credentials, "GET", path, query)
        if answer.is_refused_by_api_gateway():
            raise NotTried("API Gateway turns the caller away")
        there = (answer.status, answer.code)
        fitting = [switches[there]] if there in switches else []
        yield line(asked, "API", {"status": answer.status, "code": answer.code, "message": answer.message},
                   "{} {}".format(*emulator), there == emulator, fitting, own)


def answers_of_pcs(pcs, clusters, own):
    for asked, (operation, parameters, emulator, switches) in QUESTIONS_TO_PCS.items():
        parameters = {key: value.replace("CLUSTER", clusters) for key, value in parameters.items()}
        given = asked_of(getattr(pcs, operation), **parameters)
        code, status = given["code"], given["status"]
        fitting = [switches[code]] if code in switches else []
        if status != 400 and SMITHY.get(code) == status:
            fitting.append("--http-statuses smithy")
        if given.get("resourceType") == "Cluster":
            fitting.append("--resource-types model")
        same = (code, status) == (emulator, 400) and given.get("resourceType", "cluster") == "cluster"
        yield line(asked, "PCS", given, f"400 {emulator}", same, fitting, own)


def answers_about_authentication(session, region, regions, own):
    """Without a signature; and in one of `regions`, those of PCS, that the account has not enabled."""
    config = botocore.config.Config(signature_version=UNSIGNED, retries={"total_max_attempts": 2})
    given = asked_of(session.client("pcs", region_name=region, config=config).list_clusters)
    yield line("a request without a signature", "PCS", given, "403", given["status"] == 403, [], own)
    closed = session.client("ec2", region_name=region).describe_regions(
        AllRegions=True, Filters=[{"Name": "opt-in-status", "Values": ["not-opted-in"]}])["Regions"]
    for name in sorted({each["RegionName"] for each in closed} & set(regions))[:1]:
        given = asked_of(session.client("pcs", region_name=name).list_clusters)
        same = (given["status"], given["code"]) == (403, "UnrecognizedClientException")
        yield line("a Region that the account has not enabled", "PCS", given, "403 UnrecognizedClientException", same,
                   [], own)


def answers_about_quotas(quotas):
    """The quotas that AWS gives everybody, with the codes that errors may carry."""
    for page in quotas.get_paginator("list_aws_default_service_quotas").paginate(ServiceCode="pcs"):
        for each in page["Quotas"]:
            yield {"asked": "a quota of PCS", "of": "Service Quotas", "serviceCode": each["ServiceCode"],
                   "quotaCode": each["QuotaCode"], "name": each["QuotaName"], "value": each["Value"],
                   "emulator": "5 clusters, 10 groups, 10 queues",
                   "switch": "--clusters-per-region, --node-groups-per-cluster, --queues-per-cluster"}


def asked_of(call, **parameters):
    """What PCS answers, with the members that an error of it has."""
    try:
        call(**parameters)
    except botocore.exceptions.ClientError as error:
        response = error.response
        more = {key: value for key, value in response.items() if key not in ("Error", "ResponseMetadata", "message")}
        return {"status": response["ResponseMetadata"].get("HTTPStatusCode"), "code": response["Error"].get("Code", ""),
                "message": response["Error"].get("Message", ""),
                **{key: value if isinstance(value, str) else json.dumps(value) for key, value in more.items()}}
    return {"status": 200, "code": "", "message": ""}
