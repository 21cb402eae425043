"""The checks of scripts/smoke that call the API: who gets in, what is refused, what is on record. None changes anything.

A check is as in smoke_checks.py. A caller is credentials, or the reason why there are none.
"""

import datetime
import json
import time

from smoke_api import UNKNOWN_ID, Failed, NotTried
from smoke_checks import FIRST_SWEEP_MINUTES, SCHEDULED

# A profile of an account that is nobody's here: the guardrails refuse it before anything is looked up.
FOREIGN_PROFILE = "arn:{partition}:iam::{account}:instance-profile/AWSPCS-smoke"
# AWS's example accounts. The second is for whoever has the first.
FOREIGN_ACCOUNTS = ("111122223333", "444455556666")
GROUP = {
    "computeNodeGroupName": "smoke", "subnetIds": ["subnet-0123456789abcdef0"],
    "customLaunchTemplate": {"id": "lt-0123456789abcdef0", "version": "1"},
    "scalingConfiguration": {"minInstanceCount": 0, "maxInstanceCount": 1},
    "instanceConfigs": [{"instanceType": "c6i.xlarge"}],
}
ONE_CALLER = "--url sees the API with one caller only"
# An index of DynamoDB lags behind its table by moments.
RECORD_TRIES = 15
# In the documented list of node policies, and not in the strict one.
ONLY_DOCUMENTED = ":iam::aws:policy/AWSBatchFullAccess"


class Calls:
    def __init__(self, api, deployment, callers):
        self.api = api
        # None with --url.
        self.deployment = deployment
        self.callers = callers
        self.denied = None
        self.guardrails = None
        self.account = deployment.account if deployment else None

    def ask(self, who, method, path, query=None, body=None):
        caller = self.callers[who]
        if isinstance(caller, str):
            raise NotTried(caller)
        return self.api.call(caller, method, path, query, body)

    def audit(self, query):
        answer = self.ask("auditor", "GET", "/v1/audit-events", query)
        if self.deployment is None and answer.is_refused_by_api_gateway():
            raise NotTried("these keys may not read the audit trail")
        return succeeded(answer)["auditEvents"]


def succeeded(answer):
    """The body of a 200."""
    if answer.status == 200:
        return answer.body
    if answer.is_refused_by_api_gateway():
        raise Failed(f"the answer is {answer}: API Gateway turns the role away. Look at the role's policy and the API's "
                     "resource policy, and deploy the stack again")
    if answer.code == "UpstreamAccessDenied":
        raise Failed(f"the answer is {answer}: the function's role lacks a permission, which the function's log names")
    raise Failed(f"the answer is {answer}: the function's log and the access log say why")


def refused(answer, whom, means):
    if answer.is_refused_by_api_gateway():
        return
    if answer.status >= 500:
        raise Failed(f"the answer is {answer}: the access log says why")
    raise Failed(f"API Gateway lets {whom} in (the answer is {answer.status} {answer.code}): {means}")


def unsigned_is_refused(calls):
    refused(calls.api.call(None, "GET", "/v1/clusters"), "unsigned calls",
            "the operations have lost AWS_IAM. Deploy the stack again, and close the API until then")


def outsider_is_refused(calls):
    refused(calls.ask("outsider", "GET", "/v1/clusters"), "a principal that is none of the three roles",
            "the resource policy does not hold. Deploy the stack again")


def user_reads(calls):
    answer = calls.ask("user", "GET", "/v1/clusters")
    if "clusters" not in succeeded(answer):
        raise Failed("the answer has no clusters: it is not of this API. Look at the output ParallelClusterApiInvokeUrl")
    if not answer.request_id:
        raise Failed("the answer has no x-amzn-requestid, by which the audit finds it: look what is between this machine "
                     "and API Gateway")


def user_reads_no_audit(calls):
    only_with_roles(calls)
    refused(calls.ask("user", "GET", "/v1/audit-events"), "the user role", "callers read what others did. Deploy again")


def reader_reads(calls):
    succeeded(calls.ask("reader", "GET", "/v1/clusters"))


def reader_does_not_write(calls):
    refused(calls.ask("reader", "POST", "/v1/clusters", {"dryrun": "true"}, {}), "writes of the read-only role",
            "who may only read can change clusters. Look at ApiReadOnlyPolicyArn and deploy the stack again")


def auditor_reads_the_audit(calls):
    calls.audit({"maxResults": "1"})


def auditor_reads_no_clusters(calls):
    only_with_roles(calls)
    refused(calls.ask("auditor", "GET", "/v1/clusters"), "the auditor role", "look at ApiAuditorPolicyArn and deploy again")


def only_with_roles(calls):
    if calls.deployment is None:
        raise NotTried(ONE_CALLER)


def guardrails_are_the_parameters(calls):
    found = succeeded(calls.ask("user", "GET", "/v1/guardrails"))["guardrails"]
    calls.guardrails = found
    calls.account = calls.account or found["accountId"]
    deployment = calls.deployment
    if deployment is None:
        raise NotTried("--url does not know the parameters")
    region = deployment.parameter("Region")
    more = [each for each in deployment.parameter("AdditionalIamPolicies").split(",") if each]
    inline = [each for each in deployment.parameter("AllowedInlineActions").split(",") if each]
    policies = found["additionalIamPolicies"]
    wrong = [name for name, is_right in {
        "AccountId": found["accountId"] == deployment.account,
        "Region": region == "*" or found["regions"] == [region],
        "PermissionsBoundaryPolicy": found.get("permissionsBoundary", "") == deployment.parameter(
            "PermissionsBoundaryPolicy"),
        "EnableIamAdminAccess": found["iamAdminAccess"] == (deployment.parameter("EnableIamAdminAccess") == "true"),
        "EnableInstanceRegistration": found["instanceRegistration"] == (
            deployment.parameter("EnableInstanceRegistration") == "true"),
        "LifecycleScripts": found["lifecycleScripts"] == deployment.parameter("LifecycleScripts"),
        "AllowedInlineActions": set(inline) <= set(found["allowedInlineActions"]),
        "AdditionalIamPolicies": set(more) <= set(policies),
        "AdditionalIamPoliciesPreset": any(each.endswith(ONLY_DOCUMENTED) for each in policies) == (
            deployment.parameter("AdditionalIamPoliciesPreset") == "documented" or any(
                each.endswith(ONLY_DOCUMENTED) for each in more)),
    }.items() if not is_right]
    if wrong:
        raise Failed(f"the function decides by another {', '.join(wrong)}: somebody changed its environment beside the "
                     "stack. Deploy the stack again")


def denial_is_answered(calls):
    if isinstance(calls.callers["user"], str):
        raise NotTried(calls.callers["user"])
    partition = calls.deployment.partition if calls.deployment else (calls.guardrails or {}).get("partition", "aws")
    account = next(each for each in FOREIGN_ACCOUNTS if each != calls.account)
    profile = FOREIGN_PROFILE.format(partition=partition, account=account)
    answer = calls.ask("user", "POST", f"/v1/clusters/{UNKNOWN_ID}/compute-node-groups",
                       {"dryrun": "true"}, {**GROUP, "iamInstanceProfileArn": profile})
    violations = answer.body.get("violations", [])
    if answer.status != 403 or [each.get("rule") for each in violations] != ["own-account"]:
        raise Failed(f"a node role of another account is not refused by the guardrail own-account, the answer to the dry "
                     f"run is {answer}: let nobody use the API, and tell the issue tracker")
    calls.denied = answer.request_id


def denial_is_on_record(calls):
    if not calls.denied:
        raise NotTried("nothing was denied")
    found = until_there(lambda: calls.audit({"requestId": calls.denied}))
    if not found:
        raise Failed(f"the audit has no row of the request {calls.denied}: look at the audit table and the function's log")
    told = [(each.get("decision"), each.get("eventName")) for each in found]
    if told != [("DENY", "CreateComputeNodeGroup")]:
        raise Failed(f"the audit tells {told} of the denied request: tell the issue tracker")


def until_there(ask):
    """What `ask` finds, asked again for a while."""
    for left in reversed(range(RECORD_TRIES)):
        found = ask()
        if found or not left:
            return found
        time.sleep(1)


def sweep_ran(calls):
    deployment = calls.deployment
    if deployment is None:
        raise NotTried("--url cannot tell how old the API is")
    if deployment.sweeps:
        sweep_now(deployment)
        # The clock of this machine may be ahead.
        over = until_there(lambda: sweeps_since(calls, minutes=5))
    else:
        over = sweeps_since(calls, minutes=120)
    if not over:
        if not deployment.sweeps and deployment.minutes_old() < FIRST_SWEEP_MINUTES:
            raise NotTried("the first one comes an hour after the stack was made; --sweep runs one now")
        raise Failed("the audit has none of the last two hours: records stay open and hours without digest. Look at "
                     "SweepSchedule in EventBridge, the dead-letter queue and the function's log")
    # Newest first.
    if over[0].get("httpStatus") != 200:
        raise Failed(f"the last one ended with {over[0].get('errorCode')}: docs/deploy.md (When SweepIncompleteAlarm "
                     f"rings) says what to do; GET /v1/audit-events/{over[0]['eventId']} says at what")


def sweeps_since(calls, minutes):
    since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=minutes)
    found = calls.audit({"operation": "Sweep", "startTime": since.strftime("%Y-%m-%dT%H:%M:%SZ"), "maxResults": "100"})
    return [each for each in found if each.get("stage") == "COMPLETE"]


def sweep_now(deployment):
    """The function, with the event that the schedule sends."""
    answer = deployment.client("lambda").invoke(FunctionName=deployment.function(), Payload=json.dumps(SCHEDULED).encode())
    told = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        raise Failed(f"it failed: {told.get('errorMessage', 'no reason given')}. The function's log says more")
    if told["unread"]:
        raise Failed(f"it could not look at {', '.join(told['unread'])}: docs/deploy.md (When SweepIncompleteAlarm rings) "
                     "says what to do")
    if not told["complete"] and not told["regionsLeft"]:
        raise Failed("it was not complete and says no reason: the function's log says more")


# What has to be so -> the check, in this order: the denial comes before its record.
CHECKS = {
    "unsigned calls are refused": unsigned_is_refused,
    "who has none of the API's roles is refused": outsider_is_refused,
    "the user reads clusters": user_reads,
    "the user reads no audit": user_reads_no_audit,
    "the reader reads clusters": reader_reads,
    "the reader writes nothing": reader_does_not_write,
    "the auditor reads the audit": auditor_reads_the_audit,
    "the auditor reads no clusters": auditor_reads_no_clusters,
    "the guardrails in force are those of the parameters": guardrails_are_the_parameters,
    "a node role of another account is denied, in a dry run": denial_is_answered,
    "the denial is on record": denial_is_on_record,
    "a sweep ran": sweep_ran,
}
