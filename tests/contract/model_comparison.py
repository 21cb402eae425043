"""How the contract is compared with the PCS service model that AWS publishes with botocore.

Every operation is walked from its input and output shape together with the contract's schema; all differences are
collected, because an update of the model usually brings several. A form that nothing here had is one of them and hides
no other. Deliberate ones are in differences.py. test_model.py compares with the pinned botocore, scripts/model-watch
with the newest.

Compared are operations with their inputs, outputs, errors and HTTP binding, and the members, types, constraints, enums,
sensitive values and idempotency tokens of shapes. Not compared are texts of the documentation, paginators, waiters and
endpoint rules: rules that stand in a text only have to be read by a person.
"""

import re
import warnings

from differences import DELIBERATE

METHODS = ("get", "put", "post", "delete", "patch", "options", "head", "trace")

# Shapes that say nothing beyond their type; the contract writes them inline so that each member keeps its description.
INLINE = {
    "String": {"type": "string"},
    "Integer": {"type": "integer"},
    "SyntheticTimestamp_date_time": {"type": "string", "format": "date-time"},
}

# The modelled errors that not every operation can give, and the status this API answers them with.
STATUS_OF_ERROR = {
    "ServiceQuotaExceededException": "402",
    "ResourceNotFoundException": "404",
    "ConflictException": "409",
}

# Where a JSON protocol of AWS takes every operation, and where this API sends it.
HTTP = {"method": "POST", "requestUri": "/"}

# The member that this API sends as its own in each request that has it.
IDEMPOTENCY_TOKEN = "clientToken"

# What an operation has in place of an input or output that the model does not give it.
NOTHING = {"type": "structure", "members": {}}

# Keywords that do not constrain a value, or that the walk compares itself.
NOT_A_CONSTRAINT = {
    "description", "properties", "required", "items", "additionalProperties", "x-pcs-form", "x-pcs-recorded",
}

# Strings that tell a pattern from its neighbours. Mutations of each are tried as well (see `probes`).
PROBES = {
    "AmiId": ["ami-0abcdef1234567890", "ami-", "ami-0ABC", "ami", "emi-0abc"],
    "AmiIdOrEmpty": ["", "ami-0abcdef1234567890", "ami-", "ami-0ABC"],
    "Arn": [
        "arn:aws:pcs:us-east-1:123456789012:cluster/pcs_abc1234567",
        "arn:aws-us-gov:pcs:us-gov-west-1:123456789012:cluster/pcs_abc1234567/queue/pcs_def2345678",
        "arn:aws:pcs:us-east-1:12345678901:cluster/pcs_abc1234567",
        "arn:aws:ec2:us-east-1:123456789012:instance/i-0123456789abcdef0",
        "arn:aws:pcs:us-east-1:123456789012:cluster/PCS_ABC",
        "arn:aws:pcs:us-east-1:123456789012:cluster/",
        "arn:aws:pcs:us-east-1:123456789012:cluster",
    ],
    "BootstrapId": ["i-0123456789abcdef0", "a b", "a\tb", ""],
    "ClusterIdentifier": [
        "demo-cluster", "pcs_abc1234567", "pcs_ABC", "pcs_", "pcs_a-b", "my_cluster", "ab", "abc", "1abc", "-abc",
        "a" * 41, "a" * 42,
    ],
    "ClusterName": ["demo-cluster", "a", "ab", "pcs-x", "pcs_x", "my_cluster", "1abc", "-abc", "a.b"],
    "ComputeNodeGroupIdentifier": [
        "compute", "pcs_abc1234567", "pcs_", "pcs_a-b", "my_group", "ab", "abc", "1abc", "a" * 26, "a" * 27,
    ],
    "ComputeNodeGroupName": ["compute", "a", "ab", "pcs-x", "pcs_x", "my_group", "1abc", "a.b"],
    "InstanceProfileArn": [
        "arn:aws:iam::123456789012:instance-profile/AWSPCS-compute-node",
        "arn:aws-us-gov:iam::123456789012:instance-profile/aws-pcs/nodes",
        "arn:aws:iam::123456789012:instance-profile/a/b c",
        "arn:aws:iam::123456789012:instance-profile/",
        "arn:aws:iam::123456789012:role/AWSPCS-compute-node",
        "arn:aws:iam::12345678901:instance-profile/AWSPCS",
        "arn:aws-abcdefghijk:iam::123456789012:instance-profile/AWSPCS",
        "arn:aws:iam::123456789012:instance-profile/" + "n" * 128,
        "arn:aws:iam::123456789012:instance-profile/" + "n" * 129,
        "arn:aws:iam::123456789012:instance-profile/" + "p" * 510 + "/n",
        "arn:aws:iam::123456789012:instance-profile/" + "p" * 511 + "/n",
        "arn:aws:iam::123456789012:instance-profile/naïve",
    ],
    "JobSubmitPluginNameString": ["limit-gpus", "a", "9_a-b", "limit gpus", " a", "_a", "-a", "a.b", ""],
    "JobSubmitScriptSourceChecksumString": ["a" * 64, "A9" * 32, "a" * 63, "a" * 65, "g" * 64],
    "JobSubmitScriptSourceScriptLocationString": [
        "s3://bucket/key.star", "s3://bucket/with space", "s3://bucket/", "s3://bu/key", "s3://Bucket/key",
        "s3://-ucket/key", "s3://" + "b" * 63 + "/k", "s3://" + "b" * 64 + "/k", "https://example.com/a.star",
    ],
    "NodeLifecycleScriptNameString": ["mount storage", "a", "9_a-b", " a", "_a", "a.b", ""],
    "QueueIdentifier": [
        "main", "pcs_abc1234567", "pcs_", "pcs_a-b", "my_queue", "ab", "abc", "1abc", "a" * 26, "a" * 27,
    ],
    "QueueName": ["main", "a", "ab", "pcs-x", "pcs_x", "my_queue", "1abc", "a.b"],
    "ScriptSourceChecksumString": ["a" * 64, "A9" * 32, "a" * 63, "a" * 65, "g" * 64],
    "ScriptSourceScriptLocationString": [
        "s3://bucket/key.sh", "s3://bucket/with space", "s3://bucket/", "s3://bu/key", "s3://Bucket/key",
        "s3://-ucket/key", "https://example.com/a.sh?x=1#y", "https://example.com", "https://example.com:8443/",
        "https://example.com:123456/", "https://example.com/a b", "https://exam_ple.com/", "https://-x.com/",
        "https://localhost/", "http://example.com/a.sh", "s3://" + "b" * 63 + "/k", "s3://" + "b" * 64 + "/k",
        "https://" + "a" * 63 + ".com", "https://" + "a" * 64 + ".com",
    ],
    "SecurityGroupId": [
        "sg-0123456789abcdef0", "sg-01234567", "sg-0123456", "sg-0123456789abcdef01", "sg-0123456-", "sg-ä1234567",
    ],
    "SubnetId": [
        "subnet-0123456789abcdef0", "subnet-01234567", "subnet-0123456", "subnet-0123456789abcdef01",
        "subnet-0123456-", "sub-01234567",
    ],
}


def probes(shape_name):
    """The probe strings of a pattern with what a missing anchor or a widened class would let through."""
    for text in PROBES.get(shape_name, ()):
        yield from (text, f"{text}\n", f" {text}", f"{text} ", f"x{text}", f"{text}/", f"{text}{text}")
        yield from (text[:-1], text[1:], text.upper())
        yield from (text.replace("-", "_"), text.replace(":", ";"), text.replace("/", "\n", 1))


def canonical_pattern(pattern):
    """The model's pattern as the contract has to write it: anchored, one way to write each class, no captures."""
    body = pattern.replace(r"[\S]", r"\S").replace(r"[^\s]", r"\S").replace(r"\-]", "-]")
    look_ahead = ""
    if found := re.match(r"(\(\?![^()]*\))\^", body):
        look_ahead, body = found.group(1), body[found.end():]
    body = without_captures(body)
    if has_top_level_alternation(body):
        body = f"(?:{body})"
    return f"^{look_ahead}{body}$"


def without_captures(pattern):
    return re.sub(r"(\\.|\[(?:\\.|[^\]])*\])|\((?!\?)", lambda found: found.group(1) or "(?:", pattern)


def has_top_level_alternation(pattern):
    flat = re.sub(r"\\.|\[(?:\\.|[^\]])*\]", "", pattern)
    depth = 0
    for char in flat:
        depth += (char == "(") - (char == ")")
        if char == "|" and depth == 0:
            return True
    return False


def like_openapi(pattern):
    """The pattern with the `$` of ECMA-262, which OpenAPI prescribes: the end, not also before a last newline."""
    if pattern.endswith("$") and not pattern.endswith(r"\$"):
        pattern = pattern[:-1] + r"\Z"
    return pattern


def compiled(pattern):
    """None, with the reason, where Python does not know the pattern or warns that it means something else elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return re.compile(pattern, re.ASCII), ""
        except (re.error, OverflowError, RecursionError, Warning) as error:
            return None, str(error)


class Comparison:
    """Walks both documents at once and collects one line for each difference."""

    def __init__(self, model, contract):
        self.shapes = model["shapes"]
        self.model_operations = model["operations"]
        self.contract = contract
        self.lines = []
        self.walked = set()
        # Operations of which nobody knows whether they have their deliberate differences.
        self.unread = set()

    def report(self, where, what):
        line = f"{where}: {what}"
        if line not in self.lines:
            self.lines.append(line)

    def guarded(self, where, compare, *arguments):
        """Whether it could be compared at all: a form that nothing here had is a difference, and must hide no other."""
        try:
            compare(*arguments)
        except Exception as error:
            self.report(where, f"has a form that model_comparison.py does not know ({type(error).__name__}: {error}); "
                               "read it by hand")
            return False
        return True

    def members(self, where, shape_name, shape, written):
        """Reports members on one side only and returns those on both."""
        modelled = shape["members"]
        for name in sorted(set(modelled) - set(written)):
            need = "required" if name in shape.get("required", ()) else "optional"
            self.guarded(f"{shape_name}.{name}", self.missing, f"{shape_name}.{name}", modelled[name]["shape"], need)
        for name in sorted(set(written) - set(modelled)):
            self.report(where, f"member {name} is in the contract only")
        return [name for name in modelled if name in written]

    def missing(self, where, shape_name, need):
        self.report(where, f"missing; the model has {describe(self.shapes, shape_name)}, {need}")

    def required(self, where, name, modelled, written):
        if modelled != written:
            words = {True: "required", False: "optional"}
            self.report(where, f"member {name} is {words[modelled]} in the model, {words[written]} in the contract")

    def resolve(self, node):
        while "$ref" in node:
            node = self.lookup(node["$ref"])
        return node

    def lookup(self, reference):
        node = self.contract
        for part in reference.removeprefix("#/").split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
        return node

    def run(self):
        written = {
            operation["operationId"]: operation
            for item in self.contract["paths"].values()
            for method, operation in item.items()
            if method in METHODS
        }
        for name in sorted(set(self.model_operations) - set(written)):
            self.report(name, "operation is in the model only")
        for name in sorted(set(written) - set(self.model_operations)):
            self.report(name, "operation is in the contract only")
        for name in sorted(set(written) & set(self.model_operations)):
            if not self.guarded(name, self.operation, name, self.model_operations[name], written[name]):
                self.unread.add(name)
        return self.lines

    def operation(self, name, modelled, written):
        if written.get("x-pcs-mutation") is modelled.get("readonly", False):
            self.report(name, "x-pcs-mutation contradicts the readonly trait of the model")
        http = {key: modelled.get("http", {}).get(key) for key in HTTP}
        if http != HTTP:
            self.report(name, f"is taken at {http['method']} {http['requestUri']} by the model, and this API sends "
                              f"{HTTP['method']} {HTTP['requestUri']}")
        for side, compare_side in (("input", self.input), ("output", self.output)):
            if not self.guarded(f"{name}: {side}", compare_side, name, modelled.get(side, {}).get("shape"), written):
                self.unread.add(name)
        self.errors(name, modelled, written)

    def errors(self, name, modelled, written):
        errors = {error["shape"] for error in modelled.get("errors", ())}
        for error, status in STATUS_OF_ERROR.items():
            if error in errors and status not in written["responses"]:
                self.report(name, f"{error} is modelled, status {status} is not documented")
            if error not in errors and status in written["responses"]:
                self.report(name, f"status {status} is documented, {error} is not modelled")

    def input(self, name, shape_name, written):
        """A request is spread over path, query and body; the model has it in one structure, or in none."""
        places = {}
        for parameter in map(self.resolve, written.get("parameters", ())):
            places[parameter["name"]] = (parameter["schema"], parameter.get("required", False))
        if "requestBody" in written:
            schema = written["requestBody"]["content"]["application/json"]["schema"]
            if shape_name:
                self.name(f"{name}: input body", shape_name, schema)
            body = self.resolve(schema)
            for member, member_schema in body.get("properties", {}).items():
                if member in places:
                    self.report(name, f"input member {member} is written twice")
                places[member] = (member_schema, member in body.get("required", ()))
        shape = self.shapes[shape_name] if shape_name else NOTHING
        for member in self.members(f"{name}: input", shape_name, shape, places):
            schema, required = places[member]
            self.required(f"{name}: input", member, member in shape.get("required", ()), required)
            self.token(f"{shape_name}.{member}", member, shape["members"][member])
            self.value(f"{shape_name}.{member}", shape["members"][member]["shape"], schema)

    def token(self, where, name, member):
        modelled = member.get("idempotencyToken", False)
        if modelled != (name == IDEMPOTENCY_TOKEN):
            words = {True: "an idempotency token", False: "no idempotency token"}
            self.report(where, f"is {words[modelled]} by the model, and this API knows {IDEMPOTENCY_TOKEN} alone as "
                               "one")

    def output(self, name, shape_name, written):
        successes = [response for status, response in written["responses"].items() if status.startswith("2")]
        if len(successes) != 1:
            self.report(name, f"has {len(successes)} success responses instead of 1")
        for response in map(self.resolve, successes):
            if not shape_name:
                if "content" in response:
                    self.report(f"{name}: output", "is nothing by the model, and has content in the contract")
            elif "content" in response:
                self.value(f"{name}: output", shape_name, response["content"]["application/json"]["schema"])
            elif self.shapes[shape_name]["members"]:
                self.report(f"{name}: output", f"{shape_name} has members in the model, no content in the contract")

    def name(self, where, shape_name, schema):
        """Shapes keep their names, so that the two documents and generated clients read alike."""
        written = schema.get("$ref", "").removeprefix("#/components/schemas/") or "inline"
        expected = "inline" if shape_name in INLINE else shape_name
        if written != expected:
            self.report(where, f"schema is {expected} by the model, {written} in the contract")

    def value(self, where, shape_name, schema):
        self.guarded(where, self.shape, where, shape_name, schema)

    def shape(self, where, shape_name, schema):
        self.name(where, shape_name, schema)
        if shape_name in INLINE:
            self.constraints(where, INLINE[shape_name], schema)
            return
        if shape_name in self.walked and "$ref" in schema:
            return
        self.walked.add(shape_name)
        schema = self.resolve(schema)
        shape = self.shapes[shape_name]
        compare_kind = {
            "structure": self.structure,
            "list": self.list,
            "map": self.map,
            "string": self.string,
            "integer": self.integer,
        }.get(shape["type"])
        if compare_kind is None:
            self.report(shape_name, f"is a {shape['type']} by the model, which model_comparison.py cannot compare yet")
            return
        compare_kind(shape_name, shape, schema)

    def constraints(self, where, expected, schema):
        written = {key: value for key, value in schema.items() if key not in NOT_A_CONSTRAINT}
        for key in sorted(set(expected) | set(written)):
            if key == "enum" and key in expected and key in written:
                self.enum(where, expected[key], written[key])
                continue
            if expected.get(key) != written.get(key) or (key in expected) != (key in written):
                self.report(where, f"{key} is {expected.get(key)!r} by the model, {written.get(key)!r} in the contract")

    def enum(self, where, modelled, written):
        for value in sorted(set(modelled) - set(written)):
            self.report(where, f"enum value {value} is in the model only")
        for value in sorted(set(written) - set(modelled)):
            self.report(where, f"enum value {value} is in the contract only")

    def structure(self, where, shape, schema):
        self.constraints(where, {"type": "object"}, schema)
        if isinstance(schema.get("additionalProperties"), dict):
            self.report(where, "is a structure by the model, a map in the contract")
        properties = schema.get("properties", {})
        for member in self.members(where, where, shape, properties):
            self.required(where, member, member in shape.get("required", ()), member in schema.get("required", ()))
            self.value(f"{where}.{member}", shape["members"][member]["shape"], properties[member])

    def list(self, where, shape, schema):
        self.constraints(where, {"type": "array", **bounds(shape, "minItems", "maxItems")}, schema)
        self.value(f"{where}[]", shape["member"]["shape"], schema.get("items", {}))

    def map(self, where, shape, schema):
        key = self.shapes[shape["key"]["shape"]]
        expected = {"type": "object", **bounds(shape, "minProperties", "maxProperties")}
        if key_bounds := bounds(key, "minLength", "maxLength"):
            expected["x-pcs-map-key"] = key_bounds
        self.constraints(where, expected, schema)
        if "pattern" in key or "enum" in key:
            self.report(where, "key has a pattern or enum by the model, for which the contract has no notation")
        if not isinstance(schema.get("additionalProperties"), dict):
            self.report(where, "is a map by the model, not in the contract")
            return
        self.value(f"{where}{{}}", shape["value"]["shape"], schema["additionalProperties"])

    def string(self, where, shape, schema):
        expected = {"type": "string", **bounds(shape, "minLength", "maxLength")}
        if "enum" in shape:
            expected["enum"] = shape["enum"]
        if shape.get("sensitive"):
            expected.update({"format": "password", "x-pcs-sensitive": True})
        if "pattern" in shape:
            expected["pattern"] = canonical_pattern(shape["pattern"])
        self.constraints(where, expected, schema)
        if "pattern" in shape and "pattern" in schema:
            self.pattern(where, shape["pattern"], schema["pattern"])

    def pattern(self, where, modelled, written):
        if not self.tried(where, modelled, "model") or not self.tried(where, written, "contract"):
            return
        theirs, ours = compiled(modelled)[0], compiled(like_openapi(written))[0]
        verdicts = set()
        for text in probes(where):
            wanted = theirs.fullmatch(text) is not None
            verdicts.add(wanted)
            if (ours.search(text) is not None) is not wanted:
                words = {True: "accepted", False: "refused"}
                verdict = f"is {words[wanted]} by the model, {words[not wanted]} by the contract"
                self.report(where, f"pattern: {text!r} {verdict}")
        if verdicts != {True, False}:
            self.report(where, "pattern: PROBES lacks a string that the model accepts and one that it refuses")

    def tried(self, where, pattern, owner):
        """Whether strings can be tried against it."""
        known, reason = compiled(pattern)
        if not known:
            self.report(where, f"pattern: {pattern!r} of the {owner} cannot be tried here ({reason}); read it by hand")
        return known is not None

    def integer(self, where, shape, schema):
        # A Smithy integer has 32 bits, whatever the model says of its bounds.
        expected = {"type": "integer", "maximum": 2**31 - 1, **bounds(shape, "minimum", "maximum")}
        self.constraints(where, expected, schema)


def bounds(shape, least, most):
    named = {least: shape.get("min"), most: shape.get("max")}
    return {name: value for name, value in named.items() if value is not None}


def describe(shapes, name):
    """A shape in a few words: `string 1..64 (ClusterName)`."""
    shape = shapes[name]
    words = shape["type"]
    if "min" in shape or "max" in shape:
        words += f" {shape.get('min', '')}..{shape.get('max', '')}"
    if "member" in shape:
        words += f" of {shape['member']['shape']}"
    if "value" in shape:
        words += f" of {shape['value']['shape']}"
    if "enum" in shape:
        words += f" of {', '.join(shape['enum'])}"
    return words if name in INLINE else f"{words} ({name})"


def compare(model, contract):
    return Comparison(model, contract).run()


def unexplained(model, contract):
    return [line for line in compare(model, contract) if line not in DELIBERATE]


def stale(model, contract):
    """Explanations of differences that do not exist. Those that nobody could look for are none."""
    comparison = Comparison(model, contract)
    found = comparison.run()
    return sorted(line for line in set(DELIBERATE) - set(found) if line.partition(":")[0] not in comparison.unread)


def patterned(model):
    """The shapes that PROBES has to have strings for."""
    return {name for name, shape in model["shapes"].items() if "pattern" in shape}
