"""The audit trail as an auditor reads it: with boto3, from the table, knowing the keys and nothing of the code."""

import hashlib
import re
from datetime import datetime

import boto3
from boto3.dynamodb.conditions import Key

from signed import KEY, SECRET

TABLE = "pcs-api-audit"
RETENTION_DAYS = 30
INDEX = "byRequest"
ULID = re.compile("E#[0-7][0-9A-HJKMNP-TV-Z]{25}")
# What stands for a sentence of PCS or IAM, which can repeat values of the request.
QUOTED = re.compile(
    r"(PCS|IAM) (refused the request for a reason that this API does not know"
    r"|found (a quota reached|nothing that the request names|the request at odds with the state of the resource"
    r"|the request invalid( \([\w.*, ]+\))?)); the caller was told its words")
CALLER = {
    "type": "AssumedRole",
    "principalId": "AROADBQP57FF2AEXAMPLE",
    "arn": "arn:aws:sts::123456789012:assumed-role/PcsApiUserRole/portal",
    "accountId": "123456789012",
    "accessKeyId": KEY,
    "sessionName": "portal",
    "organizationId": "o-exampleorgid",
}


class Trail:
    def __init__(self, url):
        self.table = boto3.resource("dynamodb", endpoint_url=url, region_name="us-east-1", aws_access_key_id=KEY,
                                    aws_secret_access_key=SECRET).Table(TABLE)

    def keys(self):
        """(pk, sk) of every row of a call, but for the copies that are there to be found by another key."""
        return {(row["pk"], row["sk"]) for row in self.scan(ProjectionExpression="pk, sk")
                if row["pk"].startswith("E#") and row["sk"] != "8#IDENTIFIED"}

    def rows(self, keys=None):
        """Rows by (pk, sk): those asked for, or all."""
        if keys is None:
            return {(row["pk"], row["sk"]): row for row in self.scan()}
        return {(pk, sk): self.table.get_item(Key={"pk": pk, "sk": sk}, ConsistentRead=True)["Item"]
                for pk, sk in keys}

    def scan(self, **parameters):
        while True:
            page = self.table.scan(ConsistentRead=True, **parameters)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            parameters["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def by_request(self, request_id):
        """Sort keys of the rows that the index finds for a request id."""
        found = self.table.query(IndexName=INDEX, KeyConditionExpression=Key(INDEX).eq(f"Q#{request_id}"))
        return sorted(row["sk"] for row in found["Items"])

PATH_FAULT = "the path is not written in the form that access rules are written in"
# What the record has where the caller is told the partition, the account and the Region that he named.
WITHOUT_PARTS_OF_AN_ARN = ["of a partition that this API", "of an account that this API", "of another Region than the request"]


def expected_stages(answer, mutation):
    """The rule: reads leave one row, failed reads two, mutations two, and what never reached AWS one."""
    if not answer.calls and answer.status >= 400:
        return ["9#COMPLETE"]
    if mutation:
        return ["0#RECEIVED", "9#COMPLETE"]
    return ["0#READ"] if answer.status < 400 else ["0#READ", "9#COMPLETE"]


def expected_decision(answer):
    code = answer.json["code"] if answer.status >= 400 else None
    if code in ("GuardrailDenied", "AccessDeniedException") or code and PATH_FAULT in answer.json["message"]:
        return "DENY"
    never_decided = code is not None and code != "DryRunOperation" and not answer.calls
    return "ERROR" if never_decided else "ALLOW"


def check(trail, new, request, answer):
    """Fails unless `new`, the rows that appeared during the call, are the ones it has to leave."""
    operation = request["operation"]
    stages = sorted(sk for _, sk in new)
    expected = expected_stages(answer, operation["x-pcs-mutation"])
    assert stages == expected, f"{request['method']} {request['target']} {answer.status}: {stages}"
    events = {pk for pk, _ in new}
    assert len(events) == 1 and ULID.fullmatch(events.copy().pop()), events
    for row in new.values():
        check_row(row, request, answer)
    found = trail.by_request(answer.request_id)
    assert found == [stage for stage in stages if stage != "0#RECEIVED"]
    for call in answer.calls:
        # IAM may be read while the opening row is being written; PCS may not be asked before it is there.
        if call.service == "pcs":
            assert events & {pk for pk, _ in call.rows_before}, f"{call.action} was asked before it was recorded"


def check_row(row, request, answer):
    operation, body = request["operation"], request["body"]
    wanted = {
        "eventName": operation["operationId"], "eventSource": "pcs-api", "requestID": answer.request_id,
        "userIdentity": CALLER, "httpMethod": request["method"], "resourcePath": request["template"],
        "sourceIPAddress": "127.0.0.1", "userAgent": request["agent"], "readOnly": not operation["x-pcs-mutation"],
        "bodyBytes": len(body), "bodySha256": hashlib.sha256(body).hexdigest() if body else None,
        "eventId": row["pk"].removeprefix("E#"),
    }
    got = {name: row.get(name) for name in wanted}
    assert got == wanted, {name: (got[name], wanted[name]) for name in wanted if got[name] != wanted[name]}
    time = datetime.fromisoformat(row["eventTime"])
    assert int(row["expires"]) - int(time.timestamp()) == RETENTION_DAYS * 24 * 3600
    assert SECRET not in str(row) and "Signature=" not in str(row)
    if row["sk"] == "0#RECEIVED":
        return
    assert row["decision"] == expected_decision(answer)
    if row["sk"] == "9#COMPLETE":
        check_end(row, answer)


def check_end(row, answer):
    assert row["httpStatus"] == answer.status
    error = answer.json if answer.status >= 400 else {}
    assert row.get("errorCode") == error.get("code")
    recorded, message = row.get("errorMessage"), error.get("message")
    if recorded and re.fullmatch(QUOTED, recorded):
        assert answer.status in (400, 402, 404, 409) and recorded != message
        return
    check_message(recorded, message, error)
    parts = ("rule", "subject", "message")
    told = [[violation[part] for part in parts] for violation in error.get("violations", [])]
    assert [[violation[part] for part in parts] for violation in row.get("violations", [])] == told
    recorded = [(call["service"], call["action"], call.get("requestId"), call.get("errorCode"))
                for call in row.get("downstream", [])]
    made = [(call.service, call.action, call.request_id, call.error_code) for call in last_attempts(answer.calls)]
    # IAM is read with several requests at a time, so only the others have an order.
    assert sorted(recorded, key=str) == sorted(made, key=str)
    assert [call for call in recorded if call[0] == "pcs"] == [call for call in made if call[0] == "pcs"]


def check_message(recorded, message, error):
    """CloudTrail's limit; a cut message is still the beginning of what the caller was told, but for his own words."""
    if not error.get("fieldErrors") or any(words in recorded for words in WITHOUT_PARTS_OF_AN_ARN):
        assert error.get("fieldErrors") or recorded == (message and message.encode()[:1024].decode(errors="ignore"))
        return
    told = [error["message"] for error in error["fieldErrors"]]
    for field in error["fieldErrors"]:
        message = message.replace(f"`{field['path']}` {field['message']}", field["message"])
    for sentence in told:
        recorded = re.sub(r"`[\w.*]+` " + re.escape(sentence), lambda found: sentence, recorded)
    # The end may be cut within a path or a sentence.
    assert message == recorded if len(recorded) < 900 else message.startswith(recorded[:600])


def last_attempts(calls):
    """Without the requests that the API's SDK sent again after a failure: a call is one entry, with its last answer."""
    alike = lambda one, other: (one.service, one.action, one.body) == (other.service, other.action, other.body)
    sent_again = lambda n: calls[n].error_code and any(alike(calls[n], later) for later in calls[n + 1:])
    return [call for n, call in enumerate(calls) if not sent_again(n)]
