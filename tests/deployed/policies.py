"""Compares what each function may do with what it did: no right is unused, and no call exceeds the rights."""

from gate import Right, allows
from parts import check
from stack import FUNCTIONS

# What SAM attaches: writing the log, and network interfaces for functions in a VPC.
MANAGED = {"AWSLambdaBasicExecutionRole"}
MANAGED_IN_VPC = MANAGED | {"AWSLambdaVPCAccessExecutionRole"}

CALLERS_OF_WECHAT = set(FUNCTIONS) - {"TicketReceiver", "MessageReceiver"}

VARIABLES = {
    name: {"TABLE_NAME", "COMPONENT_SECRET_ARN"} | ({"WECHAT_API_BASE_URL"} if name in CALLERS_OF_WECHAT else set())
    for name in FUNCTIONS}
VENDOR = {
    "VENDOR_NAME", "VENDOR_LOGO_URL", "VENDOR_ACCENT_COLOR", "VENDOR_URL", "VENDOR_SUPPORT", "VENDOR_PRIVACY_URL",
    "ICP_NUMBER"}
VARIABLES["AuthStart"] |= {"WECHAT_MP_BASE_URL", "WECHAT_OPEN_BASE_URL", "ALLOWED_RETURN_ORIGINS"} | VENDOR
VARIABLES["AuthCallback"] |= VENDOR
VARIABLES["MessageReceiver"] |= {"EVENT_BUS_NAME", "REPLY_FUNCTION_ARN"}
for publisher in ("AuthorizerSync", "TokenRefresher"):
    VARIABLES[publisher] |= {"EVENT_BUS_NAME"}


def as_agreed(stack):
    """Each variable is set only where it is used, and SAM attaches no other managed policies."""
    for name in FUNCTIONS:
        variables = set(stack.configuration(name)["Environment"]["Variables"])
        check(variables == VARIABLES[name], f"the variables of {name} are {sorted(variables)}")
        policies = stack.iam.list_attached_role_policies(RoleName=stack.role(name))["AttachedPolicies"]
        managed = {policy["PolicyArn"].rsplit("/")[-1] for policy in policies}
        expected = MANAGED_IN_VPC if name in CALLERS_OF_WECHAT else MANAGED
        check(managed == expected, f"the managed policies of {name} are {sorted(managed)}")
    return "as agreed"


def of_the_service(stack, name):
    """The rights that Lambda itself uses in the function's name, for its stream and its queues."""
    function = stack.function(name)
    used = set()
    for mapping in stack.functions.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]:
        for action in ("DescribeStream", "GetRecords", "GetShardIterator"):
            used.add(Right(f"dynamodb:{action}", mapping["EventSourceArn"], None))
        used |= {Right("dynamodb:ListStreams", "*", None), to_queue(mapping)}
    configs = stack.functions.list_function_event_invoke_configs(FunctionName=function)["FunctionEventInvokeConfigs"]
    return used | {to_queue(config) for config in configs}


def to_queue(config):
    return Right("sqs:SendMessage", config["DestinationConfig"]["OnFailure"]["Destination"], None)


def compared_with_calls(stack):
    count = 0
    for name, gate in stack.gates.items():
        check(not gate.refused, f"{name} calls what its policy does not allow: {sorted(map(str, gate.refused))}")
        granted, needed = stack.rights(name), of_the_service(stack, name)
        check(needed <= granted, f"{name} lacks what Lambda needs: {needed - granted}")
        for right in granted - needed:
            for prefix in right.prefixes or [None]:
                one = right._replace(prefixes=prefix and (prefix,))
                used = any(allows(one, call) for call in gate.calls)
                check(used, f"{name} never uses {right.action} on {prefix or right.resource}")
                count += 1
    return f"{count} rights, each used in this story, and no call beyond them"
