"""docs/deploy.md says what is: its commands are those of the source documents with our names, and every parameter,
output and file that it names exists."""

import pathlib
import re
import shlex
import subprocess
import sys

import botocore.session
import pytest
from botocore import xform_name

import expand as expansion
from deployer import section

PAGE = expansion.ROOT / "docs" / "deploy.md"
TEXT = PAGE.read_text()
QUOTED = (pathlib.Path(__file__).parent / "data" / "parallelcluster-api-commands.txt").read_text()
# Of the second use case, which has nothing to do here: the page says so.
NOT_HERE = "ParallelClusterDockerUpdateImagePipeline"


def blocks():
    return re.findall(r"^```sh\n(.*?)^```$", TEXT, re.M | re.S)


def commands(text):
    """Lines with their continuations joined, and comments gone."""
    joined = re.sub(r"\\\n\s*", "", text)
    lines = (line.split("  #")[0].strip() for line in joined.splitlines())
    return [" ".join(line.split()) for line in lines if line and not line.startswith("#")]


def cloudformation(text):
    return [line for line in commands(text) if "aws cloudformation" in line and NOT_HERE not in line]


def test_commands_are_those_of_the_source_documents():
    def alike(line):
        # Where the template lies is the one thing that is ours.
        return re.sub(r"--template-url \S+", "--template-url URL", line)

    ours = {alike(line) for block in blocks() for line in cloudformation(block)}
    theirs = [alike(line) for line in cloudformation(QUOTED)]
    assert len(theirs) == 8
    assert [line for line in theirs if line not in ours] == []


def test_every_documented_query_names_an_output(template):
    asked = set(re.findall(r"OutputKey=='(\w+)'", "".join(blocks()))) | (
        set(re.findall(r"OutputKey=='(\w+)'", QUOTED)) - {NOT_HERE})
    assert len(asked) >= 4
    assert asked <= set(template["Outputs"])
    assert NOT_HERE in TEXT and NOT_HERE not in template["Outputs"]


def test_every_output_is_told_and_none_that_is_not(template):
    told = set(re.findall(r"`(?:STACK-)?(\w+)`", TEXT)) | set(re.findall(r"OutputKey=='(\w+)'", TEXT))
    left_out = set(template["Outputs"]) - told
    # By their names alone: what they are needs no page.
    assert left_out <= {"AuditSigningKeyArn"}


def parameters():
    """Name -> default, from the table."""
    found = {}
    section = TEXT.split("## Parameters")[1].split("\n## ")[0]
    for line in section.splitlines():
        cells = line.split("|")
        if len(cells) < 4 or "`" not in cells[1]:
            continue
        names, defaults = re.findall(r"`(\w+)`", cells[1]), re.findall(r"`([^`]*)`", cells[2])
        assert not defaults or len(defaults) == len(names), names
        found.update(zip(names, defaults or [""] * len(names)))
    return found


def test_the_table_has_every_parameter_with_its_default(template):
    assert parameters() == {name: str(parameter["Default"]) for name, parameter in template["Parameters"].items()}


def test_every_word_that_looks_like_a_parameter_is_one(template):
    assigned = set(re.findall(r"`(\w+)=\w+`", TEXT))
    assert assigned <= set(template["Parameters"]), assigned - set(template["Parameters"])


def headings(page):
    return [re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-")
            for line in page.read_text().splitlines() if line.startswith("#")]


@pytest.mark.parametrize("page", [PAGE, PAGE.with_name("upgrade.md")], ids=lambda page: page.name)
def test_files_and_headings_that_it_links_to_exist(page):
    links = re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", page.read_text())
    assert links
    for link, anchor in links:
        if not link.startswith("https://"):
            there = page.parent / link if link else page
            assert there.exists(), link
            assert not anchor or anchor in headings(there), (link, anchor)


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.split("\n")[0][:40])
def test_blocks_are_bash(block):
    text = re.sub(r"<([\w-]+)>", r"\1", block)
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_aws_commands_and_their_options_exist():
    """By the service models that the AWS CLI is made of."""
    session = botocore.session.get_session()
    everywhere = {"region", "query", "output"}
    checked = 0
    for block in blocks():
        for line in commands(block):
            words = shlex.split(line)
            if words[:2] != ["aws", "cloudformation"]:
                continue
            model = session.get_service_model("cloudformation")
            name = words[2]
            options = {word[2:] for word in words if word.startswith("--")} - everywhere
            if name == "wait":
                waiters = session.get_waiter_model("cloudformation")
                waiter = {xform_name(each, "-"): each for each in waiters.waiter_names}[words[3]]
                operation = model.operation_model(waiters.get_waiter(waiter).operation)
            else:
                operation = model.operation_model({xform_name(each, "-"): each for each in model.operation_names}[name])
            known = {xform_name(member, "-") for member in operation.input_shape.members}
            known |= {"template-url"} & {xform_name("TemplateURL", "-"), "template-url"}
            assert options <= known, (line, options - known)
            checked += 1
    assert checked >= 10


def test_the_oldest_sam_that_it_names_is_not_newer_than_the_one_that_is_tried():
    named = re.search(r"AWS SAM CLI\]\([^)]+\) (\d+\.\d+\.\d+) or later", TEXT)[1]
    tried = re.search(r"^aws-sam-cli==(\S+)$", (expansion.ROOT / "tests/deploy/requirements.txt").read_text(), re.M)[1]
    assert [int(part) for part in named.split(".")] <= [int(part) for part in tried.split(".")]


@pytest.mark.parametrize("command", ["build", "deploy", "package"])
def test_sam_options_exist(command):
    done = subprocess.run([sys.executable, "-m", "samcli", command, "--help"], capture_output=True, text=True, check=True,
                          env={"SAM_CLI_TELEMETRY": "0", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "COLUMNS": "200"})
    used = set()
    for line in re.findall(rf"sam {command}[^`\n]*", TEXT):
        used |= set(re.findall(r"--[a-z0-9-]+", line))
    assert used or command == "build"
    assert [option for option in used if option not in done.stdout] == []


def test_the_own_words_of_the_configuration_are_known_to_sam():
    """samconfig.toml: every section is a command, every key one of its options."""
    import tomllib
    settings = tomllib.loads((expansion.ROOT / "samconfig.toml").read_text())
    assert settings.pop("version") == 0.1
    for section, held in settings["default"].items():
        if section == "global":
            assert set(held["parameters"]) <= {"stack_name", "region"}
            continue
        done = subprocess.run([sys.executable, "-m", "samcli", section, "--help"], capture_output=True, text=True,
                              check=True, env={"SAM_CLI_TELEMETRY": "0", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent",
                                               "COLUMNS": "200"})
        for key in held["parameters"]:
            assert "--" + key.replace("_", "-") in done.stdout, (section, key)


def test_what_a_failed_first_deployment_takes_along_is_said_before_the_command(template):
    """The role for API Gateway's logs goes, and the account's setting, which is not the stack's alone, still names it."""
    before = section("Deploy").split("```sh")[0]
    for name in ("ApiGatewayLogsRole", "ApiGatewayAccount"):
        assert template["Resources"][name]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert "`CreateApiGatewayLogsRole=false`" in before


def test_the_policy_for_encrypted_images_has_a_place_with_a_role_of_ones_own(template):
    """The stack refuses the parameter together with such a role, so the page has to say what to do in its place."""
    said = section("Encrypted images")
    for rule in re.findall(r"rule `(\w+)`", said):
        words = str(template["Rules"][rule])
        assert "ParallelClusterFunctionRole" in words and "ParallelClusterFunctionAdditionalPolicies" in words
    assert "OwnRoleTakesNoPolicy" in said and "attach the policy to your own role" in said
