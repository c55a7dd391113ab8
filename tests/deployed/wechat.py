"""The simulated WeChat, and a relay for its pushes, which the independent SDK `wechatpy` opens and seals again."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
from wechatpy.crypto import WeChatCrypto

from parts import ROOT, Process, check, run

# Merchants of the simulator, each with a part in the story.
BOOKSHOP, TEAHOUSE, STORE, CAFE = (
    "wx1a2b3c4d5e6f7081", "wx2b3c4d5e6f708192", "wx3c4d5e6f708192a3", "wx4d5e6f708192a3b4")

# What the operator copied from the console into the secret.
SECRET = {
    "component_appid": "wx0123456789abcdef",
    "component_appsecret": "0123456789abcdef0123456789abcdef",
    "token": "exampleToken1",
    "encoding_aes_key": "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3B",
}


def build():
    # Only the binary is named, so that cargo reuses the libraries that the other tests were built with.
    run(["cargo", "build", "--quiet", "--locked", "--bin", "wechat-simulator"])
    return "as the other tests have it"


class Wechat:
    def __init__(self):
        self.process = Process("wechat-simulator", [ROOT / "target/debug/wechat-simulator", "--port", "0"])
        self.url = self.process.said("listens on").split()[-1]
        self.secret = SECRET
        self.relay = None

    def end(self):
        self.process.end()

    def order(self, what, **body):
        """A call of the control API."""
        answer = requests.post(f"{self.url}/_sim/{what}", json=body, timeout=60)
        check(answer.ok, f"the simulator refuses {what}: {answer.text}")
        return answer.json()

    def calls(self, endpoint):
        return requests.get(f"{self.url}/_sim/calls", timeout=5).json().get(endpoint, 0)

    def accepts(self, access_token):
        """Whether a call on behalf of an account works with this token."""
        answer = requests.post(
            f"{self.url}/cgi-bin/message/custom/send", params={"access_token": access_token}, timeout=5,
            json={"touser": "oEXAMPLE_openid_000000000001", "msgtype": "text", "text": {"content": "hello"}})
        return answer.json().get("errcode") == 0

    def push_to(self, api):
        """From now on, pushes go to the deployed stack, and merchants come from its start page."""
        self.relay = Relay(self, api)
        self.order("settings", events_url=f"{self.relay.url}events", messages_url=f"{self.relay.url}$APPID$/messages",
                   authorization_host=api.host)

    def change_secret(self, **changes):
        """The operator changes settings in the console."""
        self.secret = {**self.secret, **changes}
        self.order("settings", **changes)


def sealed(secret, xml, nonce="1234567890"):
    """A push as `wechatpy` seals it: query and body."""
    timestamp = str(int(time.time()))
    crypto = WeChatCrypto(secret["token"], secret["encoding_aes_key"], secret["component_appid"])
    body = crypto.encrypt_message(xml, nonce, timestamp)
    signature = body.split("<MsgSignature><![CDATA[")[1].split("]]>")[0]
    query = {"timestamp": timestamp, "nonce": nonce, "encrypt_type": "aes", "msg_signature": signature}
    return urlencode(query), body.encode()


class Relay(ThreadingHTTPServer):
    """Forwards the simulator's pushes to the deployed API."""

    daemon_threads = True

    def __init__(self, wechat, api):
        super().__init__(("127.0.0.1", 0), RelayHandler)
        self.wechat, self.api, self.taken = wechat, api, []
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class RelayHandler(BaseHTTPRequestHandler):
    def do_POST(self):
        secret, query = self.server.wechat.secret, dict(parse_qsl(urlsplit(self.path).query))
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        crypto = WeChatCrypto(secret["token"], secret["encoding_aes_key"], secret["component_appid"])
        xml = crypto.decrypt_message(body, query["msg_signature"], query["timestamp"], query["nonce"])
        query, body = sealed(secret, xml)
        answer = self.server.api.call("POST", f"/wechat{urlsplit(self.path).path}?{query}", data=body)
        self.server.taken.append(xml)
        self.send_response(answer.status_code)
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_):
        pass
