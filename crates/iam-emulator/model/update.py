"""Rewrites aws-managed-policies.txt: the path and name of every policy that AWS manages, one a line, sorted.

The source is the catalogue in moto (https://github.com/getmoto/moto, Apache-2.0), whose `make aws_managed_policies`
fetches it from AWS. Run it where moto is installed: python update.py
"""

import json
import pathlib

from moto.iam.aws_managed_policies import aws_managed_policies_data

policies = json.loads(aws_managed_policies_data)
names = sorted(policy["Path"].removeprefix("/") + name for name, policy in policies.items())
target = pathlib.Path(__file__).with_name("aws-managed-policies.txt")
target.write_text("".join(f"{name}\n" for name in names))
print(len(names), "names in", target.name)
