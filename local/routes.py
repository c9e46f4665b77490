"""Create an HTTP API's routes from its OpenAPI body, which MiniStack's CloudFormation leaves out.

SAM turns the functions' events into the `Body` of the API; AWS imports that. Here the processed
template is read back and the same authorizer, CORS settings, integrations and routes are made.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tools.template import Resolver

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mypy_boto3_apigatewayv2 import ApiGatewayV2Client
    from mypy_boto3_apigatewayv2.type_defs import CorsTypeDef, CreateRouteRequestTypeDef
    from mypy_boto3_cloudformation import CloudFormationClient

METHODS = {
    "get",
    "put",
    "post",
    "delete",
    "patch",
    "head",
    "options",
    "x-amazon-apigateway-any-method",
}
FUNCTION = re.compile(r"functions/(?P<arn>[^/]+)/invocations")


def import_routes(
    cloudformation: CloudFormationClient,
    gateway: ApiGatewayV2Client,
    stack: str,
    api: str = "HttpApi",
    frontend_urls: Collection[str] = (),
) -> str:
    """Give a deployed stack's API what its body says, in place of whatever it has.

    Args:
        cloudformation: A client.
        gateway: A client of API Gateway v2.
        stack: The stack's name.
        api: The API's logical id in the template.
        frontend_urls: Origins that may call it from a browser, in place of the template's one.

    Returns:
        The API's id.
    """
    template = cloudformation.get_template(StackName=stack, TemplateStage="Processed")[
        "TemplateBody"
    ]
    if isinstance(template, str):
        template = json.loads(template)
    names = names_of(cloudformation, stack)
    body = Resolver(names)(template["Resources"][api]["Properties"]["Body"])
    api_id = names[api]
    clear(gateway, api_id)
    if cors := body.get("x-amazon-apigateway-cors"):
        rules: CorsTypeDef = {_pascal(key): value for key, value in cors.items()}  # type: ignore[assignment]
        if frontend_urls:
            rules["AllowOrigins"] = list(frontend_urls)
        gateway.update_api(ApiId=api_id, CorsConfiguration=rules)
    authorizers = {
        name: create_authorizer(gateway, api_id, name, scheme)
        for name, scheme in body.get("components", {}).get("securitySchemes", {}).items()
    }
    integrations: dict[str, str] = {}
    for path, operations in body["paths"].items():
        for method, operation in operations.items():
            if method not in METHODS:
                continue
            uri = operation["x-amazon-apigateway-integration"]["uri"]
            if uri not in integrations:
                integrations[uri] = create_integration(gateway, api_id, uri)
            security = next(
                (name for entry in operation.get("security", []) for name in entry), None
            )
            authorizer = authorizers.get(security or "")
            route: CreateRouteRequestTypeDef = {
                "ApiId": api_id,
                "RouteKey": f"{method.upper()} {path}",
                "Target": integrations[uri],
            }
            if authorizer:
                route["AuthorizationType"] = "CUSTOM"
                route["AuthorizerId"] = authorizer
            gateway.create_route(**route)
    return api_id


def names_of(cloudformation: CloudFormationClient, stack: str) -> dict[str, str]:
    """Return what the template's references stand for: resources, parameters and the account."""
    described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    _, partition, _, region, account, *_ = described["StackId"].split(":")
    names = {
        "AWS::Partition": partition,
        "AWS::Region": region,
        "AWS::AccountId": account,
        "AWS::StackName": stack,
        "AWS::URLSuffix": "amazonaws.com",
    }
    for parameter in described.get("Parameters", []):
        names[parameter["ParameterKey"]] = parameter["ParameterValue"]
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
        for resource in page["StackResourceSummaries"]:
            physical = resource.get("PhysicalResourceId", "")
            names[resource["LogicalResourceId"]] = physical
            if resource["ResourceType"] == "AWS::Lambda::Function":
                arn = f"arn:{partition}:lambda:{region}:{account}:function:{physical}"
                names[f"{resource['LogicalResourceId']}.Arn"] = arn
    return names


def clear(gateway: ApiGatewayV2Client, api_id: str) -> None:
    """Remove an API's routes, integrations and authorizers."""
    for route in gateway.get_routes(ApiId=api_id)["Items"]:
        gateway.delete_route(ApiId=api_id, RouteId=route["RouteId"])
    for integration in gateway.get_integrations(ApiId=api_id)["Items"]:
        gateway.delete_integration(ApiId=api_id, IntegrationId=integration["IntegrationId"])
    for authorizer in gateway.get_authorizers(ApiId=api_id)["Items"]:
        gateway.delete_authorizer(ApiId=api_id, AuthorizerId=authorizer["AuthorizerId"])


def create_authorizer(
    gateway: ApiGatewayV2Client, api_id: str, name: str, scheme: Mapping[str, Any]
) -> str:
    """Create a Lambda authorizer as the body describes it, and return its id."""
    described = scheme["x-amazon-apigateway-authorizer"]
    created = gateway.create_authorizer(
        ApiId=api_id,
        Name=name,
        AuthorizerType="REQUEST",
        AuthorizerUri=described["authorizerUri"],
        AuthorizerPayloadFormatVersion=described["authorizerPayloadFormatVersion"],
        EnableSimpleResponses=described["enableSimpleResponses"],
        AuthorizerResultTtlInSeconds=described["authorizerResultTtlInSeconds"],
        IdentitySource=described["identitySource"],
    )
    return created["AuthorizerId"]


def create_integration(gateway: ApiGatewayV2Client, api_id: str, uri: str) -> str:
    """Create the integration of the function at `uri`, and return what a route calls it."""
    function = FUNCTION.search(uri)
    created = gateway.create_integration(
        ApiId=api_id,
        IntegrationType="AWS_PROXY",
        IntegrationMethod="POST",
        IntegrationUri=function["arn"] if function else uri,
        PayloadFormatVersion="2.0",
    )
    return f"integrations/{created['IntegrationId']}"


def _pascal(name: str) -> str:
    return name[:1].upper() + name[1:]
