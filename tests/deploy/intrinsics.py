"""A small CloudFormation: what intrinsic functions, conditions and rules come to for given parameter values.

It exists so that tests read policies as IAM will get them, and not the expressions that make them. What it does not
know is an error, never a guess. Ids of resources are made up, but have the form that the services give them.
"""

import re

ABSENT = object()


class Unknown(Exception):
    """Something that this CloudFormation does not know."""


class Stack:
    """One template with one set of parameter values, in one account, Region and partition."""

    def __init__(self, template, parameters, account="123456789012", region="us-east-1", partition="aws",
                 name="pcs-api"):
        self.template = template
        self.pseudo = {
            "AWS::AccountId": account,
            "AWS::Region": region,
            "AWS::Partition": partition,
            "AWS::URLSuffix": {"aws-cn": "amazonaws.com.cn"}.get(partition, "amazonaws.com"),
            "AWS::StackName": name,
            "AWS::StackId": f"arn:{partition}:cloudformation:{region}:{account}:stack/{name}/"
                            "5f1d3c60-8e0a-11ee-b9d1-0242ac120002",
            "AWS::NoValue": ABSENT,
        }
        self.parameters = self._typed(parameters)

    def _typed(self, parameters):
        values = {}
        for name, parameter in self.template["Parameters"].items():
            value = parameters.get(name, parameter.get("Default"))
            if value is None:
                raise Unknown(f"the parameter {name} has no value")
            values[name] = float(value) if parameter["Type"] == "Number" and "." in str(value) else (
                int(value) if parameter["Type"] == "Number" else str(value))
        unknown = set(parameters) - set(values)
        if unknown:
            raise Unknown(f"no such parameters: {sorted(unknown)}")
        return values

    # --- conditions and rules ---

    def condition(self, name):
        return self.truth(self.template["Conditions"][name])

    def truth(self, expression):
        """A condition's or an assertion's value."""
        (function, operands), = expression.items()
        if function == "Condition":
            return self.condition(operands)
        if function == "Fn::Equals":
            left, right = (self.value(operand) for operand in operands)
            return str(left) == str(right)
        if function == "Fn::Not":
            operand, = operands
            return not self.truth(operand)
        if function == "Fn::And":
            return all([self.truth(operand) for operand in operands])
        if function == "Fn::Or":
            return any([self.truth(operand) for operand in operands])
        if function == "Fn::Contains":
            values, value = operands
            return self.value(value) in [self.value(entry) for entry in values]
        raise Unknown(function)

    def broken_rules(self):
        """Sentences of the assertions that do not hold, with which CloudFormation refuses the parameters."""
        sentences = []
        for rule in self.template.get("Rules", {}).values():
            if "RuleCondition" in rule and not self.truth(rule["RuleCondition"]):
                continue
            sentences += [assertion["AssertDescription"] for assertion in rule["Assertions"]
                          if not self.truth(assertion["Assert"])]
        return sentences

    def wrong_parameters(self):
        """Names of the parameters whose value CloudFormation refuses by itself."""
        wrong = []
        for name, parameter in self.template["Parameters"].items():
            value = self.parameters[name]
            number = parameter["Type"] == "Number"
            fits = (
                # CloudFormation holds the whole value against the pattern.
                re.fullmatch(parameter.get("AllowedPattern", r"(?s).*"), str(value)) is not None
                and str(value) in [str(allowed) for allowed in parameter.get("AllowedValues", [value])]
                and len(str(value)) <= parameter.get("MaxLength", 4096)
                and (not number or parameter.get("MinValue", value) <= value <= parameter.get("MaxValue", value))
            )
            if not fits:
                wrong.append(name)
        return wrong

    def decided(self):
        """The template with its conditions decided and its parameters put in; what points from one resource to
        another is left as it is."""
        def there(section):
            return {name: {key: self._decide(part) for key, part in each.items() if key != "Condition"}
                    for name, each in self.template[section].items()
                    if "Condition" not in each or self.condition(each["Condition"])}

        return {
            "AWSTemplateFormatVersion": self.template["AWSTemplateFormatVersion"],
            "Mappings": self.template["Mappings"],
            "Resources": there("Resources"),
            "Outputs": there("Outputs"),
        }

    def _decide(self, expression):
        if isinstance(expression, list):
            return [part for part in map(self._decide, expression) if part is not ABSENT]
        if not isinstance(expression, dict):
            return expression
        if len(expression) == 1:
            (function, operand), = expression.items()
            if function == "Fn::If":
                condition, yes, no = operand
                return self._decide(yes if self.condition(condition) else no)
            if function == "Ref" and (operand in self.parameters or operand == "AWS::NoValue"):
                return self.ref(operand)
            if function == "Fn::Sub":
                return self._decide_sub(operand)
        members = {name: self._decide(member) for name, member in expression.items()}
        return {name: member for name, member in members.items() if member is not ABSENT}

    def _decide_sub(self, operand):
        text, *variables = operand if isinstance(operand, list) else [operand]
        for name, value in self.parameters.items():
            text = text.replace("${" + name + "}", str(value))
        if variables:
            return {"Fn::Sub": [text, self._decide(variables[0])]}
        return {"Fn::Sub": text} if "${" in text else text

    # --- values ---

    def resources(self):
        """The resources that are made, with everything in them resolved, by logical id."""
        made = {}
        for name, resource in self.template["Resources"].items():
            if "Condition" in resource and not self.condition(resource["Condition"]):
                continue
            made[name] = {key: self.value(part) for key, part in resource.items() if key != "Condition"}
        return made

    def outputs(self):
        made = {}
        for name, output in self.template["Outputs"].items():
            if "Condition" not in output or self.condition(output["Condition"]):
                made[name] = self.value(output["Value"])
        return made

    def value(self, expression):
        if isinstance(expression, list):
            return [value for value in map(self.value, expression) if value is not ABSENT]
        if not isinstance(expression, dict):
            return expression
        if len(expression) == 1:
            (function, operand), = expression.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self._call(function, operand)
        members = {name: self.value(member) for name, member in expression.items()}
        return {name: member for name, member in members.items() if member is not ABSENT}

    def _call(self, function, operand):
        if function == "Ref":
            return self.ref(operand)
        if function == "Fn::GetAtt":
            name, attribute = operand if isinstance(operand, list) else operand.split(".", 1)
            return self.attribute(name, attribute)
        if function == "Fn::If":
            condition, yes, no = operand
            return self.value(yes if self.condition(condition) else no)
        if function == "Fn::Sub":
            return self.sub(operand)
        if function == "Fn::Join":
            delimiter, parts = operand
            if not isinstance(delimiter, str):
                raise Unknown("CloudFormation takes no function as the delimiter of Fn::Join")
            return delimiter.join(str(part) for part in self.value(parts))
        if function == "Fn::Split":
            delimiter, source = operand
            return self.value(source).split(delimiter)
        if function == "Fn::Select":
            index, values = operand
            return self.value(values)[int(index)]
        if function == "Fn::FindInMap":
            name, *keys = (self.value(key) for key in operand)
            found = self.template["Mappings"][name]
            for key in keys:
                found = found[key]
            return found
        raise Unknown(function)

    def sub(self, operand):
        text, variables = operand if isinstance(operand, list) else (operand, {})

        def replacement(found):
            name = found.group(1)
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in variables:
                return str(self.value(variables[name]))
            if "." in name:
                return self.attribute(*name.split(".", 1))
            return str(self.ref(name))

        return re.sub(r"\$\{([^}]+)\}", replacement, text)

    def ref(self, name):
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        resource, properties = self._resource(name)
        account, region, partition = (self.pseudo[f"AWS::{part}"] for part in ("AccountId", "Region", "Partition"))
        if resource == "AWS::ApiGateway::RestApi":
            return "a1b2c3d4e5"
        if resource == "AWS::ApiGateway::Stage":
            return self.value(properties["StageName"])
        if resource == "AWS::ApiGateway::DomainName":
            return self.value(properties["DomainName"])
        if resource == "AWS::IAM::Role":
            return self.value(properties["RoleName"])
        if resource == "AWS::IAM::ManagedPolicy":
            return f"arn:{partition}:iam::{account}:policy/{self.value(properties['ManagedPolicyName'])}"
        if resource == "AWS::SQS::Queue":
            return f"https://sqs.{region}.amazonaws.com/{account}/{self._generated(name)}"
        if resource in ("AWS::Lambda::Function", "AWS::DynamoDB::Table", "AWS::Logs::LogGroup", "AWS::Events::Rule",
                        "AWS::ApiGateway::Deployment", "AWS::ApiGateway::Account"):
            return self._generated(name)
        raise Unknown(f"Ref of a {resource}")

    def attribute(self, name, attribute):
        resource, properties = self._resource(name)
        account, region, partition = (self.pseudo[f"AWS::{part}"] for part in ("AccountId", "Region", "Partition"))
        here = f"{region}:{account}"
        known = {
            ("AWS::IAM::Role", "Arn"): lambda: f"arn:{partition}:iam::{account}:role/{self.ref(name)}",
            ("AWS::Lambda::Function", "Arn"): lambda: f"arn:{partition}:lambda:{here}:function:{self.ref(name)}",
            ("AWS::DynamoDB::Table", "Arn"): lambda: f"arn:{partition}:dynamodb:{here}:table/{self.ref(name)}",
            ("AWS::Logs::LogGroup", "Arn"): lambda: f"arn:{partition}:logs:{here}:log-group:{self.ref(name)}:*",
            ("AWS::Events::Rule", "Arn"): lambda: f"arn:{partition}:events:{here}:rule/{self.ref(name)}",
            ("AWS::SQS::Queue", "Arn"): lambda: f"arn:{partition}:sqs:{here}:{self._generated(name)}",
            ("AWS::SQS::Queue", "QueueName"): lambda: self._generated(name),
            ("AWS::KMS::Key", "Arn"):
                lambda: f"arn:{partition}:kms:{here}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            ("AWS::SSM::Parameter", "Value"): lambda: self.value(properties["Value"]),
            ("AWS::ApiGateway::DomainName", "RegionalDomainName"):
                lambda: f"d-a1b2c3d4e5.execute-api.{region}.amazonaws.com",
            ("AWS::ApiGateway::DomainName", "RegionalHostedZoneId"): lambda: "Z1UJRXOUMOOFQ8",
        }
        if (resource, attribute) not in known:
            raise Unknown(f"{attribute} of a {resource}")
        return known[resource, attribute]()

    def _resource(self, name):
        resource = self.template["Resources"].get(name)
        if resource is None:
            raise Unknown(f"nothing is called {name}")
        if "Condition" in resource and not self.condition(resource["Condition"]):
            raise Unknown(f"{name} is used and is not made")
        return resource["Type"], resource.get("Properties", {})

    def _generated(self, name):
        """A name as CloudFormation makes one for a resource that has none; names of deployments hold a hash."""
        plain = re.sub(r"Deployment[0-9a-f]{10}$", "Deployment", name)
        return f"{self.pseudo['AWS::StackName']}-{plain}-EXAMPLE"
