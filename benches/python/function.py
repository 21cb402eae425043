"""The function that somebody would write in an afternoon: boto3, one row of audit, ListClusters."""

import json
import os

import boto3

pcs = boto3.client("pcs")
dynamodb = boto3.client("dynamodb")
ROW = json.loads(os.environ["BENCH_ROW"])


def handler(event, context):
    dynamodb.put_item(
        TableName="pcs-api-audit", Item=ROW, ConditionExpression="attribute_not_exists(pk)", ReturnConsumedCapacity="TOTAL"
    )
    clusters = pcs.list_clusters(maxResults=50)["clusters"]
    return {"statusCode": 200, "body": json.dumps({"clusters": clusters}, default=str)}
