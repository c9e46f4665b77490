"""What SAM makes of the template: the API's body is valid, and two stacks can live side by side."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from local.paths import interpreter
from tools.template import ROOT, Resolver, pages, routes

TRANSLATE = """
import json, sys
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

class NoManagedPolicies:
    def load(self):
        return {}

template = yaml_parse(sys.stdin.read())
for resource in template["Resources"].values():
    for name in ("CodeUri", "ContentUri"):
        if name in resource.get("Properties", {}):
            resource["Properties"][name] = "s3://bucket/key"
json.dump(transform(template, {}, NoManagedPolicies()), sys.stdout, default=str)
"""

PHYSICAL_NAMES = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::Scheduler::ScheduleGroup": "Name",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::KMS::Alias": "AliasName",
}
"""Where a resource says what it is called in its account and region."""


@pytest.fixture(scope="module")
def translated() -> dict[str, Any]:
    """The template as CloudFormation gets it, by the translator that AWS itself runs."""
    done = subprocess.run(
        [interpreter(".venv-sam"), "-c", TRANSLATE],
        input=(ROOT / "template.yaml").read_text(encoding="utf-8"),
        capture_output=True,
        text=True,
        check=True,
        env={"AWS_DEFAULT_REGION": "us-east-1", "PATH": ""},
    )
    template: dict[str, Any] = json.loads(done.stdout)
    return template


def test_the_api_s_body_is_valid_openapi(translated: dict[str, Any]) -> None:
    body = translated["Resources"]["HttpApi"]["Properties"]["Body"]
    assert [str(fault)[:300] for fault in OpenAPIV30SpecValidator(body).iter_errors()] == []


def test_the_api_s_body_has_each_route_once_and_no_other(translated: dict[str, Any]) -> None:
    body = translated["Resources"]["HttpApi"]["Properties"]["Body"]
    imported = {
        f"{method.upper()} {path}" for path, item in body["paths"].items() for method in item
    }
    assert imported == {route.key for route in (*routes(), *pages())}
    for path, item in body["paths"].items():
        for method, operation in item.items():
            assert "x-amazon-apigateway-integration" in operation, f"{method} {path} leads nowhere"


def test_a_warning_of_api_gateway_s_fails_no_deployment(translated: dict[str, Any]) -> None:
    assert not translated["Resources"]["HttpApi"]["Properties"].get("FailOnWarnings")


def names(translated: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for logical_id, resource in translated["Resources"].items():
        key = PHYSICAL_NAMES.get(resource["Type"])
        if key and key in resource.get("Properties", {}):
            yield logical_id, resource["Properties"][key]


def test_two_stacks_of_one_account_share_no_name(translated: dict[str, Any]) -> None:
    for logical_id, name in names(translated):
        assert "${AWS::StackName}" in json.dumps(name), f"{logical_id} is always called {name}"


def test_cloudformation_takes_so_many_resources_and_so_large_a_template(
    translated: dict[str, Any],
) -> None:
    assert len(translated["Resources"]) <= 500
    assert len(json.dumps(translated)) <= 1_000_000


def test_several_frontends_are_several_origins(translated: dict[str, Any]) -> None:
    rules = translated["Resources"]["HttpApi"]["Properties"]["Body"]["x-amazon-apigateway-cors"]
    resolve = Resolver({"FrontendUrl": "http://a.example,http://b.example"})
    assert resolve(rules["allowOrigins"]) == ["http://a.example", "http://b.example"]
    assert set(rules) == {
        "allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge",
    }  # fmt: skip


MANAGED = {
    # CreateLogStream, PutLogEvents: the log group is the function's own all the same.
    "service-role/AWSLambdaBasicExecutionRole",
    # PutTraceSegments: X-Ray has no resources to name.
    "AWSXRayDaemonWriteAccess",
    "AWSXrayWriteOnlyAccess",
}
"""The policies of AWS that are left in the roles: what they open on ``*`` is logs and traces."""


def test_no_role_has_a_policy_of_aws_but_for_logs_and_traces(translated: dict[str, Any]) -> None:
    roles = {
        name: resource["Properties"]
        for name, resource in translated["Resources"].items()
        if resource["Type"] == "AWS::IAM::Role"
    }
    assert "DispatchEventFunctionRole" in roles
    for name, role in roles.items():
        for arn in role.get("ManagedPolicyArns", ()):
            policy = json.dumps(arn).partition("policy/")[2].rstrip('"}] ')
            assert policy in MANAGED, f"{name}: {arn}"


def test_no_role_names_every_resource(translated: dict[str, Any]) -> None:
    for name, resource in translated["Resources"].items():
        for policy in resource.get("Properties", {}).get("Policies", ()):
            for statement in policy["PolicyDocument"]["Statement"]:
                assert statement["Resource"] != "*", f"{name}: {statement}"
