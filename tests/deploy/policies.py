"""The policies that a stack leaves in an account, each under the name by which reviewers know it."""


def documents(stack):
    """Name -> policy document: what identities may do, and who may use queues, keys and the API."""
    found = {}
    for name, resource in stack.resources().items():
        properties = resource.get("Properties", {})
        kind = resource["Type"]
        if kind == "AWS::IAM::Role":
            found[f"{name} (trust)"] = properties["AssumeRolePolicyDocument"]
            for policy in properties.get("Policies", []):
                found[f"{name}/{policy['PolicyName']}"] = policy["PolicyDocument"]
        elif kind == "AWS::IAM::ManagedPolicy":
            found[name] = properties["PolicyDocument"]
        elif kind == "AWS::SQS::QueuePolicy":
            found[f"{name} (queue)"] = properties["PolicyDocument"]
        elif kind == "AWS::KMS::Key":
            found[f"{name} (key)"] = properties["KeyPolicy"]
        elif kind == "AWS::ApiGateway::RestApi":
            found[f"{name} (resource policy)"] = properties["Body"]["x-amazon-apigateway-policy"]
        else:
            holders = [key for key in properties if "Policy" in key and isinstance(properties[key], dict)]
            assert holders in ([], ["RetryPolicy"]), f"{name} has a policy that no test reads: {holders}"
    return found


def of_identities(stack):
    """Those of them that allow an identity something."""
    return {name: document for name, document in documents(stack).items() if "(" not in name}


def of_the_function(stack):
    """Those that the function's role has, by name, as IAM counts them: inline ones and managed ones."""
    return {name: document for name, document in documents(stack).items()
            if name.startswith("FunctionRole/") or name == "NodeRolesPolicy"}


def statements(document):
    return document["Statement"]


def several(value):
    """IAM takes one string or a list of them."""
    return [value] if isinstance(value, str) else value


def actions(documents_):
    return {action for document in documents_.values() for statement in statements(document)
            for action in several(statement["Action"]) if statement["Effect"] == "Allow"}
