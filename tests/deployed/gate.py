"""The gate between each function and AWS. It notes every call, and checks it against the key prefixes of the function's
policy, which the emulator ignores."""

import http.client
import json
import threading
from collections import namedtuple
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from parts import Wrong

# A call of a function: `keys` are the values of `dynamodb:LeadingKeys`.
Call = namedtuple("Call", "action resource keys")

# What a statement allows, one for each of its actions; `prefixes` is None if it allows every key.
Right = namedtuple("Right", "action resource prefixes")


def rights(document):
    """The rights in a policy document."""
    for statement in listed(document["Statement"]):
        if statement["Effect"] != "Allow" or set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"}:
            raise Wrong(f"a statement of a kind that this test does not know: {statement}")
        prefixes = None
        if condition := statement.get("Condition"):
            prefixes = condition.get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys")
            if condition != {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": prefixes}}:
                raise Wrong(f"a condition that this test does not know: {condition}")
            prefixes = tuple(listed(prefixes))
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                yield Right(action, resource, prefixes)


def listed(one_or_many):
    return one_or_many if isinstance(one_or_many, list) else [one_or_many]


def allows(right, call):
    keys_fit = right.prefixes is None or all(
        any(fnmatchcase(key, prefix) for prefix in right.prefixes) for key in call.keys)
    return right.action == call.action and fnmatchcase(call.resource, right.resource) and keys_fit


class Gate(ThreadingHTTPServer):
    """One function's way to AWS."""

    daemon_threads = True

    def __init__(self, granted, table_arn, aws_port):
        super().__init__(("127.0.0.1", 0), Handler)
        self.granted, self.table_arn, self.aws_port = granted, table_arn, aws_port
        self.calls, self.refused, self.losing = set(), set(), []
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def lose_answers(self, action, prefix, times):
        """The next calls take effect, but their answers get lost."""
        self.losing += [(action, prefix)] * times

    def understood(self, target, path, body):
        """The rights that a request needs: one, or one for each item of a transaction."""
        if target == "DynamoDB_20120810.TransactWriteItems":
            return [self.of_item(kind, item) for one in body["TransactItems"] for kind, item in one.items()]
        return [self.one(target, path, body)]

    def of_item(self, kind, item):
        return Call(f"dynamodb:{kind}Item", self.arn_of(item["TableName"]), (item.get("Key", item.get("Item"))["pk"]["S"],))

    def arn_of(self, table):
        return self.table_arn if table == self.table_arn.rsplit("/")[-1] else table

    def one(self, target, path, body):
        if target is None:
            function = unquote(path).split("/functions/")[1].removesuffix("/invocations")
            return Call("lambda:InvokeFunction", function, ())
        service, operation = target.split(".")
        if service == "AWSEvents":
            [bus] = {entry["EventBusName"] for entry in body["Entries"]}
            account = ":".join(self.table_arn.split(":")[3:5])
            return Call(f"events:{operation}", f"arn:aws:events:{account}:event-bus/{bus}", ())
        if service == "secretsmanager":
            return Call(f"secretsmanager:{operation}", body["SecretId"], ())
        table = self.arn_of(body["TableName"])
        if index := body.get("IndexName"):
            shard = body["ExpressionAttributeValues"][":shard"]["N"]
            return Call(f"dynamodb:{operation}", f"{table}/index/{index}", (shard,))
        return Call(f"dynamodb:{operation}", table, (body.get("Key", body.get("Item"))["pk"]["S"],))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(404, b"", {})

    def do_POST(self):
        gate, target = self.server, self.headers.get("X-Amz-Target")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        calls = gate.understood(target, self.path, json.loads(body))
        gate.calls.update(calls)
        if forbidden := [call for call in calls if not any(allows(right, call) for right in gate.granted)]:
            gate.refused.update(forbidden)
            refusal = {"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "not by this policy"}
            return self.answer(400, json.dumps(refusal).encode(), {})
        aws = http.client.HTTPConnection("127.0.0.1", gate.aws_port)
        aws.putrequest("POST", self.path, skip_host=True, skip_accept_encoding=True)
        # The signature covers the headers, Host included.
        for name, value in self.headers.items():
            if name.lower() != "connection":
                aws.putheader(name, value)
        aws.endheaders(body)
        reply = aws.getresponse()
        answer = reply.read()
        aws.close()
        first = calls[0]
        key = first.keys[0] if first.keys else ""
        lost = next((one for one in gate.losing if one[0] == first.action and key.startswith(one[1])), None)
        if lost:
            gate.losing.remove(lost)
            return self.answer(500, b"{}", {})
        return self.answer(reply.status, answer, reply.headers)

    def answer(self, status, body, headers):
        self.send_response(status)
        for name in ("Content-Type", "x-amz-crc32", "x-amzn-RequestId", "x-amzn-errortype",
                     "X-Amz-Function-Error"):
            if name in headers:
                self.send_header(name, headers[name])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
