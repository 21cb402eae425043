"""What a deployer calls on the roads of docs/deploy.md: the commands of the page, what SAM calls, and the bucket that SAM
has made for packages."""

import re
from unittest import mock

from samcli.lib.bootstrap import bootstrap

from deployer import PAGE
from providers import DEPLOYER, schemas_of
from simulator import Request

STACK = "arn:aws:cloudformation:us-east-1:123456789012:stack/pcs-api/5f1d3c60-8e0a-11ee-b9d1-0242ac120002"
SAMS_STACK = STACK.replace("/pcs-api/", f"/{bootstrap.SAM_CLI_STACK_NAME}/")
SAMS_BUCKET = f"arn:aws:s3:::{bootstrap.SAM_CLI_STACK_NAME}-samclisourcebucket-a1b2c3d4e5f6"
OWN_BUCKET = "arn:aws:s3:::amzn-s3-demo-bucket"
# "Control CloudFormation access with IAM": a template with macros needs CreateChangeSet on them, CreateStack too.
TRANSFORMS = [f"arn:aws:cloudformation:us-east-1:aws:transform/{name}" for name in ("Serverless-2016-10-31", "Include")]
# What SAM's deployer.py and managed_cloudformation_stack.py call, and its parameters for tags and for failures.
SAM_DEPLOYS = ["CreateChangeSet", "CreateStack", "DeleteStack", "DescribeChangeSet", "DescribeStackEvents", "DescribeStacks",
               "ExecuteChangeSet", "RollbackStack", "TagResource", "UpdateStack"]
# "Continue rolling back an update", "Cancel a stack update", "Troubleshooting CloudFormation": a stack that is stuck; and
# what the console shows of one.
MENDS = ["CancelUpdateStack", "ContinueUpdateRollback", "DeleteChangeSet", "DescribeEvents", "DescribeStackResources",
         "GetTemplate", "ListStackResources", "RollbackStack", "UntagResource", "UpdateTerminationProtection"]


def on(resource, operations):
    return [Request(DEPLOYER, f"cloudformation:{operation}", resource) for operation in operations]


def documented():
    """The commands of the page. Waiting is asking for the stack."""
    named = re.findall(r"^aws cloudformation (wait )?([a-z-]+)", PAGE, re.M)
    operations = {"DescribeStacks" if waits else "".join(word.title() for word in name.split("-")) for waits, name in named}
    assert {"CreateStack", "UpdateStack", "DeleteStack", "DescribeStacks"} <= operations
    return on(STACK, sorted(operations))


def uploads(bucket, prefix):
    """SAM's s3_uploader.py asks whether the package is there (HeadObject: GetObject, and ListBucket for the answer 404)
    and puts it, in parts if it is large; CloudFormation and the transform Include read it."""
    return [Request(DEPLOYER, "s3:ListBucket", bucket), Request(DEPLOYER, "s3:GetBucketLocation", bucket)] + [
        Request(DEPLOYER, f"s3:{operation}", f"{bucket}/{prefix}0123456789abcdef")
        for operation in ("AbortMultipartUpload", "GetObject", "GetObjectVersion", "PutObject")]


def sams_stack():
    with mock.patch.object(bootstrap, "GlobalConfig"), mock.patch.object(bootstrap.json, "dumps", lambda value: value):
        return bootstrap._get_stack_template()["Resources"]


# What the schemas call the properties that SAM's stack sets, in the names of their actions.
CALLED = {"PublicAccessBlockConfiguration": "PublicAccessBlock", "BucketEncryption": "Encryption",
          "VersioningConfiguration": "BucketVersioning", "Tags": "Tag(ging|Resource|sForResource)$",
          "Bucket": None, "PolicyDocument": "BucketPolicy"}


def sams_bucket():
    """What the providers of SAM's bucket list for making and reading it. SAM never deletes it."""
    resources = sams_stack()
    schemas = schemas_of({resource["Type"] for resource in resources.values()})
    for resource in resources.values():
        words = [CALLED[name] for name in resource["Properties"] if CALLED[name]]
        for handler in ("create", "read"):
            for action in schemas[resource["Type"]]["handlers"][handler]["permissions"]:
                if action in ("s3:CreateBucket", "s3:ListBucket") or any(re.match(f"s3:.*{word}", action) for word in words):
                    yield Request(DEPLOYER, action, SAMS_BUCKET)


ROADS = {
    "sam deploy": [
        *on(STACK, SAM_DEPLOYS), *on(SAMS_STACK, SAM_DEPLOYS), *on("*", ["GetTemplateSummary"]),
        *[request for transform in TRANSFORMS for request in on(transform, ["CreateChangeSet"])],
        *uploads(SAMS_BUCKET, "pcs-api/"), *sams_bucket(),
    ],
    "sam package, create-stack, update-stack, delete-stack": [
        *documented(), *[request for transform in TRANSFORMS for request in on(transform, ["CreateChangeSet"])],
        *uploads(OWN_BUCKET, "pcs-api/"), *on("*", ["ValidateTemplate"]),
    ],
    "a release: create-stack, update-stack, delete-stack": [
        *documented(), *uploads(OWN_BUCKET, "pcs-api/0.2.0/pcs-api.yaml-"), *on("*", ["ValidateTemplate"]),
    ],
    "a stack that is stuck": on(STACK, MENDS),
}
