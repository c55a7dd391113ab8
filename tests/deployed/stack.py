"""The stack: linted, built in release, and deployed by SAM on an emulated AWS."""

import json
import platform
import re
import shutil
import zipfile

import boto3
import requests
from botocore.config import Config

from gate import Gate, rights
from parts import ROOT, WORK, Process, check, free_port, run, wait_for
from wechat import SECRET

REGION = "us-east-1"
LINTED_REGIONS = ["us-east-1", "ap-east-1", "cn-north-1"]
BUILT = WORK / "build"

# The emulator runs the binaries directly on this machine.
ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]

FUNCTIONS = [
    "TicketReceiver", "MessageReceiver", "AuthStart", "AuthCallback", "AuthorizerSync", "TokenRefresher", "TokenGetter"]
OUTPUTS = {"ApiUrl", "EventsUrl", "MessagesUrl", "AuthStartUrl", "TableName", "TokenGetterInvokePolicy", "EventBusName",
           *(f"{name}Function" for name in FUNCTIONS)}

ROUTES = {"POST /wechat/events", "POST /wechat/{authorizer_appid}/messages", "GET /auth/start", "POST /auth/start",
          "GET /auth/callback"}

# A reply function of the vendor.
REPLY = """
def answer(detail, _context):
    content = detail["message"].get("Content")
    return {"reply": {"MsgType": "text", "Content": f"you wrote {content}"}} if content else {}
"""

# What EventBridge Scheduler sends when a schedule has no input of its own.
SCHEDULED = {"version": "0", "id": "00000000-0000-0000-0000-000000000000", "detail-type": "Scheduled Event",
             "source": "aws.scheduler", "account": "000000000000", "time": "2026-01-01T00:00:00Z",
             "region": REGION, "resources": [], "detail": "{}"}

MAX_BINARY_BYTES, MAX_ZIPPED_BYTES = 6_000_000, 2_500_000

# The emulator treats this key as the account's owner.
OWNER = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
SAM = {
    "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION,
    "SAM_CLI_TELEMETRY": "0",
}


def lint():
    run(["cfn-lint", "--regions", *LINTED_REGIONS, "--", "template.yaml", "egress.yaml"])
    run(["sam", "validate", "--lint", "--template-file", "template.yaml"], **SAM)
    return ", ".join(LINTED_REGIONS)


def build():
    run(["sam", "build", "--build-dir", str(BUILT), "--parameter-overrides", f"Architecture={ARCHITECTURE}"], **SAM)
    largest = 0
    for name in FUNCTIONS:
        binary = BUILT / name / "bootstrap"
        check(binary.is_file(), f"{name} was not built")
        content = binary.read_bytes()
        check(b"aws-lc-sys" not in content, f"{name} has a second TLS library in it")
        with zipfile.ZipFile(WORK / "bootstrap.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bootstrap", content)
        zipped = (WORK / "bootstrap.zip").stat().st_size
        check(len(content) <= MAX_BINARY_BYTES, f"{name} has {len(content)} bytes")
        check(zipped <= MAX_ZIPPED_BYTES, f"{name} has {zipped} bytes zipped")
        largest = max(largest, len(content))
    return f"the largest binary has {largest / 1e6:.1f} MB"


class Api:
    """The deployed API, as the browser and WeChat reach it."""

    def __init__(self, api_id, port):
        self.host, self.port = f"{api_id}.execute-api.localhost:{port}", port

    def call(self, method, path, **how):
        headers = {"Host": self.host, **how.pop("headers", {})}
        return requests.request(
            method, f"http://127.0.0.1:{self.port}{path}", headers=headers, allow_redirects=False, timeout=30, **how)


class Aws:
    """The emulator, with every function's rights enforced."""

    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        scratch = WORK / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        self.process = Process(
            "aws", ["ministack"], **SAM, AUTH="true", AWS_ENDPOINT_URL=self.url, GATEWAY_PORT=str(self.port),
            BIND_HOST="127.0.0.1", SFTP_ENABLED="0", IOT_MTLS_ENABLED="0", TMPDIR=str(scratch))
        wait_for("the emulator", self.answers, seconds=60)

    def answers(self):
        check(self.process.child.poll() is None, "the emulator ended; see target/deployed/aws.log")
        try:
            return requests.get(f"{self.url}/_ministack/health", timeout=2).ok
        except requests.ConnectionError:
            return False

    def client(self, service, **who):
        config = Config(retries={"max_attempts": 0}, read_timeout=120)
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, config=config, **(who or OWNER))

    def end(self):
        self.process.end()


class Stack:
    NAME = "wechat-component"

    def __init__(self, aws, wechat):
        self.aws, self.wechat = aws, wechat
        self.secrets, self.functions = aws.client("secretsmanager"), aws.client("lambda")
        self.iam, self.cloudformation = aws.client("iam"), aws.client("cloudformation")
        self.outputs, self.gates, self.api, self.reply_arn = {}, {}, None, None
        self.secret_arn, self.table, self.template = None, None, None

    def add_reply_function(self):
        """The vendor has a function of its own that replies to messages."""
        trust = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
        role = self.iam.create_role(RoleName="replies", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        with zipfile.ZipFile(WORK / "reply.zip", "w") as archive:
            archive.writestr("reply.py", REPLY)
        created = self.functions.create_function(
            FunctionName="replies", Runtime="python3.12", Role=role, Handler="reply.answer",
            Code={"ZipFile": (WORK / "reply.zip").read_bytes()})
        self.reply_arn = created["FunctionArn"]
        return "in Python, one line"

    def deploy(self):
        self.secret_arn = self.secrets.create_secret(Name=self.NAME, SecretString=json.dumps(SECRET))["ARN"]
        parameters = {
            "ComponentSecretArn": self.secret_arn, "Architecture": ARCHITECTURE, "WechatApiBaseUrl": self.wechat.url,
            "WechatMpBaseUrl": self.wechat.url, "WechatOpenBaseUrl": self.wechat.url, "VendorName": "Example",
            "ReplyFunctionArn": self.reply_arn}
        self.sam("deploy", "--template-file", str(BUILT / "template.yaml"), "--no-confirm-changeset", "--no-progressbar",
                 "--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items()))
        [stack] = self.cloudformation.describe_stacks(StackName=self.NAME)["Stacks"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        check(set(self.outputs) == OUTPUTS, f"the outputs are {sorted(self.outputs)}")
        self.table = boto3.resource(
            "dynamodb", endpoint_url=self.aws.url, region_name=REGION, **OWNER).Table(self.outputs["TableName"])
        template = self.cloudformation.get_template(StackName=self.NAME, TemplateStage="Processed")["TemplateBody"]
        self.template = json.loads(template) if isinstance(template, str) else template
        return f"{len(self.outputs)} outputs"

    def delete(self):
        """The table and its rows are kept."""
        self.sam("delete", "--no-prompts")
        check(self.table.scan(ConsistentRead=True)["Items"], "the table is empty")
        return "the table is still there"

    def sam(self, command, *options):
        run(["sam", command, "--config-file", str(ROOT / "samconfig.toml"), "--stack-name", self.NAME,
             "--region", REGION, *options], **SAM, AWS_ENDPOINT_URL=self.aws.url)

    def function(self, name):
        return self.outputs[f"{name}Function"]

    def configuration(self, name):
        return self.functions.get_function_configuration(FunctionName=self.function(name))

    def role(self, name):
        return self.configuration(name)["Role"].rsplit("/")[-1]

    def documents(self, name):
        """The function's own policies, by their names."""
        role = self.role(name)
        names = self.iam.list_role_policies(RoleName=role)["PolicyNames"]
        return {one: self.iam.get_role_policy(RoleName=role, PolicyName=one)["PolicyDocument"] for one in names}

    def rights(self, name):
        return {right for document in self.documents(name).values() for right in rights(document)}

    def invoke(self, name, event, client=None):
        """What the function answers, or the JSON of its error."""
        answer = (client or self.functions).invoke(FunctionName=self.function(name), Payload=json.dumps(event))
        return json.load(answer["Payload"])

    def invoke_as_scheduled(self, name):
        """Invokes the function at once, as its schedule does."""
        scheduler = self.aws.client("scheduler")
        schedules = [scheduler.get_schedule(Name=one["Name"]) for one in scheduler.list_schedules()["Schedules"]]
        arn = self.configuration(name)["FunctionArn"]
        targets = [one["Target"] for one in schedules if one["Target"]["Arn"] == arn and one["State"] == "ENABLED"]
        check(len(targets) == 1, f"{name} has {len(targets)} schedules")
        return self.invoke(name, json.loads(targets[0].get("Input", "null")) or SCHEDULED)

    def open_api(self):
        """Makes the API's routes from the template as SAM has expanded it: the emulator ignores a Body."""
        gateway = self.aws.client("apigatewayv2")
        api_id = re.match(r"https://(\w+)\.", self.outputs["ApiUrl"])[1]
        [body] = [resource["Properties"]["Body"] for resource in self.template["Resources"].values()
                  if resource["Type"] == "AWS::ApiGatewayV2::Api"]
        routes = set()
        for path, methods in body["paths"].items():
            for method, operation in methods.items():
                uri = json.dumps(operation["x-amazon-apigateway-integration"]["uri"])
                function = re.search(r"\$\{(\w+)\.Arn\}", uri)[1]
                integration = gateway.create_integration(
                    ApiId=api_id, IntegrationType="AWS_PROXY", PayloadFormatVersion="2.0",
                    IntegrationUri=self.configuration(function)["FunctionArn"])
                route = f"{method.upper()} {path}"
                gateway.create_route(ApiId=api_id, RouteKey=route, Target=f"integrations/{integration['IntegrationId']}")
                routes.add(route)
        check(routes == ROUTES, f"they are {sorted(routes)}")
        self.api = Api(api_id, self.aws.port)
        return ", ".join(sorted(routes))

    def open_gates(self):
        """Each function's SDK goes through its gate because the environment says so."""
        for name in FUNCTIONS:
            gate = Gate(self.rights(name), self.table.table_arn, self.aws.port)
            variables = self.configuration(name)["Environment"]["Variables"]
            urls = {"AWS_ENDPOINT_URL_DYNAMODB": gate.url, "AWS_ENDPOINT_URL_SECRETS_MANAGER": gate.url,
                    "AWS_ENDPOINT_URL_EVENTBRIDGE": gate.url, "AWS_ENDPOINT_URL_LAMBDA": gate.url}
            self.functions.update_function_configuration(
                FunctionName=self.function(name), Environment={"Variables": {**variables, **urls}})
            self.gates[name] = gate
        return "it notes every call, and knows the policies' key prefixes"
