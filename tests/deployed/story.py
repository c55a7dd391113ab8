"""The life of a deployed component, from the hour before its first ticket to the change of its secret."""

import hashlib
import json
import time
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from botocore.exceptions import ClientError

from parts import check, wait_for
from wechat import BOOKSHOP, CAFE, STORE, TEAHOUSE, sealed

# The SDK's tries of one call.
TRIES = 3


class Story:
    def __init__(self, stack, wechat):
        self.stack, self.wechat, self.api, self.gates = stack, wechat, stack.api, stack.gates
        self.caller = None

    def before_the_first_ticket(self):
        """Without a ticket every function fails, and one of them asks WeChat to push one."""
        cookie, state, now = "0" * 32, "1" * 32, int(time.time())
        browser = hashlib.sha256(cookie.encode()).hexdigest()
        self.stack.table.put_item(Item={"pk": f"start#{state}", "browser": browser, "started_at": now, "ttl": now + 600})
        for path in (f"/auth/callback?state={state}&auth_code=none", "/auth/start"):
            method = "POST" if path == "/auth/start" else "GET"
            answer = self.api.call(method, path, headers={"Cookie": f"__Host-wechat_authorization={cookie}"})
            check(answer.status_code == 503, f"{path} answers {answer.status_code}")
        for function, event in (("AuthorizerSync", {}), ("TokenGetter", {"component": True})):
            error = self.stack.invoke(function, event).get("errorType")
            check(error == "no_verify_ticket", f"{function} answers {error}")
        run = self.stack.invoke("TokenRefresher", {})
        check(run.get("stopped") == "no_verify_ticket", f"the refresher answers {run}")
        calls = self.wechat.calls("api_start_push_ticket")
        check(calls == 1, f"WeChat was asked {calls} times to push")
        return "five functions say no_verify_ticket; WeChat was asked once to push it"

    def ticket(self):
        self.wechat.push_to(self.api)
        push = self.wechat.order("push", info_type="component_verify_ticket", times=2)
        check(push["delivered"] and len(push["attempts"]) == 2, f"not taken at once: {push}")
        return "opened and sealed again by wechatpy, answered `success`, and again the second time"

    def foreign_caller(self):
        """A caller without the stack's policy is denied; with the policy it gets a token."""
        iam = self.stack.iam
        trust = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
        role = iam.create_role(RoleName="caller", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        session = self.stack.aws.client("sts").assume_role(RoleArn=role, RoleSessionName="caller")["Credentials"]
        self.caller = self.stack.aws.client(
            "lambda", aws_access_key_id=session["AccessKeyId"], aws_secret_access_key=session["SecretAccessKey"],
            aws_session_token=session["SessionToken"])
        try:
            self.ask(component=True)
        except ClientError as error:
            check(error.response["Error"]["Code"] == "AccessDeniedException", f"refused otherwise: {error}")
        else:
            check(False, "a role without the policy gets a token")
        iam.attach_role_policy(RoleName="caller", PolicyArn=self.stack.outputs["TokenGetterInvokePolicy"])
        token = self.ask(component=True)
        check(token.get("expires_at", 0) > time.time() + 7000, f"the getter answers {token.get('errorType')}")
        return "denied; with the stack's policy attached, it gets the component token"

    def authorize(self):
        """A merchant authorizes in a browser."""
        answer = self.come_and_confirm(BOOKSHOP, "shop-1")
        check(answer.status_code == 200 and BOOKSHOP in answer.text, f"the result page has {answer.status_code}")
        check('<p class="vendor">Example</p>' in answer.text, "the result page does not name the vendor")
        check(self.row(BOOKSHOP).get("reference") == "shop-1", "the row does not have the reference of the link")
        return "start page, 303, consent page, 302, result page with the account"

    def come_and_confirm(self, appid, reference):
        page = self.api.call("GET", f"/auth/start?reference={reference}")
        check(page.status_code == 200 and "<form" in page.text, f"the start page has {page.status_code}")
        clicked, there, link = self.click(reference)
        consent = requests.get(there, headers={"Referer": f"https://{self.api.host}/auth/start"}, timeout=5)
        check("data-error" not in consent.text, f"WeChat refuses the way the merchant came: {consent.text[:300]}")
        form = {"pre_auth_code": link["pre_auth_code"], "redirect_uri": link["redirect_uri"],
                "authorizer_appid": appid, "decision": "confirm"}
        decided = requests.post(f"{self.wechat.url}/_sim/consent", data=form, allow_redirects=False, timeout=5)
        back = urlsplit(decided.headers["Location"])
        check(back.netloc == self.api.host, f"WeChat sends the browser to {back.netloc}")
        cookie = {"Cookie": clicked.headers["Set-Cookie"].split(";")[0]}
        state = parse_qs(back.query)["state"][0]
        undecided = self.api.call("GET", f"{back.path}?state={state}", headers=cookie)
        again = f'href="start?reference={reference}"'
        check(undecided.status_code == 200 and again in undecided.text, "a merchant who has not decided cannot start again")
        return self.api.call("GET", f"{back.path}?{back.query}", headers=cookie)

    def click(self, reference):
        clicked = self.api.call("POST", f"/auth/start?reference={reference}")
        check(clicked.status_code == 303, f"the click leads to {clicked.status_code}")
        there = clicked.headers["Location"]
        return clicked, there, {name: values[0] for name, values in parse_qs(urlsplit(there).query).items()}

    def stream(self):
        """WeChat's notices: of the merchant who came back, and of one who closed the browser too early."""
        self.settled()
        calls = self.wechat.calls("api_query_auth")
        check(calls == 1, f"the code was exchanged {calls} times")
        began = time.monotonic()
        self.gates["AuthorizerSync"].lose_answers("dynamodb:UpdateItem", "code#", TRIES)
        push = self.wechat.order("authorize", authorizer_appid=TEAHOUSE)["push"]
        check(push["delivered"], f"the notice was not taken: {push}")
        wait_for("the notice's merchant", lambda: self.row(TEAHOUSE).get("access_token"))
        took = time.monotonic() - began
        self.settled()
        wait_for("the merchant's name", lambda: self.row(TEAHOUSE).get("name"))
        return f"one exchange for redirect and notice; a merchant who never came back is connected after {took:.1f} s"

    def settled(self):
        """Waits until every notice is handled."""
        def all_handled():
            rows = self.stack.table.scan(ConsistentRead=True)["Items"]
            notices = [row for row in rows if row["pk"].startswith("notice#")]
            return notices and all("handled_at" in row for row in notices)
        wait_for("the stream to bring a notice", all_handled, seconds=60)

    def getter(self):
        for appid in (BOOKSHOP, TEAHOUSE):
            self.good(self.ask(authorizer_appid=appid))
        error = self.ask(authorizer_appid=STORE).get("errorType")
        check(error == "unknown_authorizer", f"for an unknown authorizer it answers {error}")
        return "tokens that WeChat accepts; unknown_authorizer for one who did not authorize"

    def message(self):
        """A customer's text, sealed by wechatpy: a passive reply, and an event for a rule of the vendor's."""
        sqs, events = self.stack.aws.client("sqs"), self.stack.aws.client("events")
        self.queue = sqs.create_queue(QueueName="siblings")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]
        bus, pattern = self.stack.outputs["EventBusName"], {"source": ["wechat-component"]}
        events.put_rule(Name="siblings", EventBusName=bus, EventPattern=json.dumps(pattern))
        events.put_targets(Rule="siblings", EventBusName=bus, Targets=[{"Id": "queue", "Arn": attributes["QueueArn"]}])
        sent = self.wechat.order("message", authorizer_appid=BOOKSHOP, text="hello")
        check(sent["delivered"], f"the message was not taken: {sent}")
        check("<![CDATA[you wrote hello]]>" in (sent["reply"] or ""), f"the reply is {sent['reply']}")
        detail = wait_for("the message", lambda: self.told("Message Received"))
        check(detail["message"]["Content"] == "hello" and detail["reference"] == "shop-1", f"the event is {detail}")
        return "the reply function's words come back sealed; the event waits in a queue behind a rule"

    def next_event(self):
        sqs = self.stack.aws.client("sqs")
        def look():
            for message in sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=1).get("Messages", []):
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                return json.loads(message["Body"])
        return wait_for("an event in the queue", look)

    def kept_message(self):
        """The bus takes an event, and its answer gets lost: the schedule delivers it again."""
        self.gates["MessageReceiver"].lose_answers("events:PutEvents", "", 1)
        sent = self.wechat.order("message", authorizer_appid=BOOKSHOP, text="again")
        check(sent["delivered"], f"the message was not taken: {sent}")
        first = wait_for("the message", lambda: self.told("Message Received"))
        self.update(f"message#{first['id']}", due_at=int(time.time()) - 1)
        self.gates["TokenRefresher"].lose_answers("events:PutEvents", "", 1)
        run = self.stack.invoke_as_scheduled("TokenRefresher")
        check(run.get("failed") == 1, f"the refresher answers {run}")
        self.update(f"message#{first['id']}", due_at=int(time.time()) - 1)
        run = self.stack.invoke_as_scheduled("TokenRefresher")
        check(run.get("delivered") == 1, f"the refresher answers {run}")
        again = [wait_for("the message", lambda: self.told("Message Received")) for _ in range(2)]
        check(again == [first, first], f"they are {again}")
        return "delivered by the schedule, with the same id"

    def release_check(self):
        report = self.wechat.order("release-check", group=int(time.time()) % 5)["lines"]
        failed = [line for line in report if line["failure"]]
        check(not failed, f"these lines fail: {failed}")
        return f"{len(report)} lines, all passed"

    def refresh(self):
        """The token is about to expire, and the schedule runs."""
        old = self.ask(authorizer_appid=BOOKSHOP)["access_token"]
        calls = self.wechat.calls("api_authorizer_token")
        self.change(BOOKSHOP, expires_at=int(time.time()) + 600, due_at=int(time.time()) - 1)
        run = self.stack.invoke_as_scheduled("TokenRefresher")
        check(run.get("renewed") == 1, f"the refresher answers {run}")
        check(self.wechat.calls("api_authorizer_token") == calls + 1, "not exactly one call to WeChat")
        new = self.ask(authorizer_appid=BOOKSHOP)
        check(new["access_token"] != old, "the token is the old one")
        self.good(new)
        return "one call to WeChat; a caller gets the new token"

    def rotate_if(self):
        refused = self.ask(authorizer_appid=BOOKSHOP)["access_token"]
        calls = self.wechat.calls("api_authorizer_token")
        first = self.ask(authorizer_appid=BOOKSHOP, rotate_if=refused)
        second = self.ask(authorizer_appid=BOOKSHOP, rotate_if=refused)
        check(first["access_token"] == second["access_token"] != refused, "not one new token for both")
        check(self.wechat.calls("api_authorizer_token") == calls + 1, "not exactly one call to WeChat")
        self.good(first)
        return "two callers with the same refused token, one call to WeChat, one new token"

    def lost_answer(self):
        """A write takes effect in the table, and its answer gets lost."""
        self.gates["AuthCallback"].lose_answers("dynamodb:UpdateItem", "code#", TRIES)
        answer = self.come_and_confirm(CAFE, "shop-2")
        check(answer.status_code == 200 and CAFE in answer.text, f"the result page has {answer.status_code}")
        self.settled()
        return "the callback finds that it holds the code, and continues"

    def left_over(self):
        """A notice that the stream did not bring."""
        mappings = self.stack.functions.list_event_source_mappings(
            FunctionName=self.stack.function("AuthorizerSync"))["EventSourceMappings"]
        [mapping] = [one for one in mappings if "notice#" in json.dumps(one["FilterCriteria"])]
        self.stack.functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        self.gates["TokenRefresher"].lose_answers("dynamodb:UpdateItem", "code#", TRIES)
        _, _, link = self.click("shop-3")
        self.wechat.order("authorize", authorizer_appid=STORE, pre_auth_code=link["pre_auth_code"])
        rows = self.stack.table.scan(ConsistentRead=True)["Items"]
        [notice] = [row for row in rows if row.get("authorizer_appid") == STORE and row["pk"].startswith("notice#")]
        self.update(notice["pk"], due_at=int(time.time()) - 1)
        run = self.stack.invoke_as_scheduled("TokenRefresher")
        check(run.get("notices") == 1, f"the refresher answers {run}")
        self.stack.functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
        self.good(self.ask(authorizer_appid=STORE))
        check(self.row(STORE).get("reference") == "shop-3", "the row does not have the reference of the link")
        return "the refresher takes it"

    def limited(self):
        """A caller meets the limit first; the schedule finds that it is over. Siblings are told of both."""
        now = int(time.time())
        self.wechat.order("faults", endpoint="api_authorizer_token", authorizer_appid=CAFE, errcode=50002, times=1)
        self.change(CAFE, expires_at=now - 1)
        error = self.ask(authorizer_appid=CAFE).get("errorType")
        check(error == "account_limited", f"the getter answers {error}")
        wait_for("siblings to be told of the limit", lambda: self.told("Authorizer Limited", CAFE))
        self.change(CAFE, due_at=now - 1)
        run = self.stack.invoke_as_scheduled("TokenRefresher")
        check(run.get("renewed") == 1, f"the refresher answers {run}")
        wait_for("siblings to be told that it is over", lambda: self.told("Authorizer Authorized", CAFE))
        self.good(self.ask(authorizer_appid=CAFE))
        return f"the getter refuses: {error}; the refresher finds it lifted; siblings are told of both"

    def revoke(self):
        """Siblings are told, although the bus's answers get lost twice."""
        self.gates["AuthorizerSync"].lose_answers("events:PutEvents", "", 1)
        push = self.wechat.order("revoke", authorizer_appid=BOOKSHOP)
        check(push["delivered"], f"the notice was not taken: {push}")
        self.settled()
        [event] = wait_for("the event to be put off", lambda: [
            row for row in self.stack.table.scan(ConsistentRead=True)["Items"]
            if row["pk"].startswith(f"event#{BOOKSHOP}#") and "failures" in row])
        self.gates["TokenRefresher"].lose_answers("events:PutEvents", "", 1)
        for delivered in (0, 1):
            self.update(event["pk"], due_at=int(time.time()) - 1)
            run = self.stack.invoke_as_scheduled("TokenRefresher")
            check(run.get("delivered") == delivered, f"the refresher answers {run}")
        told = wait_for("siblings to be told", lambda: self.told("Authorizer Revoked", BOOKSHOP))
        check(told["reference"] == "shop-1", f"they are told {told}")
        error = self.ask(authorizer_appid=BOOKSHOP).get("errorType")
        check(error == "authorization_revoked", f"the getter answers {error}")
        return f"the getter refuses: {error}; siblings are told by the schedule"

    def told(self, detail_type, appid=BOOKSHOP):
        """The detail of the next event in the queue, if it is of this type and account; others are passed over."""
        event = self.next_event()
        is_it = event["detail-type"] == detail_type and event["detail"]["authorizer_appid"] == appid
        return event["detail"] if is_it else None

    def reconcile(self):
        """A row is lost, and the daily schedule runs."""
        self.stack.table.delete_item(Key={"pk": f"authorizer#{TEAHOUSE}"})
        run = self.stack.invoke_as_scheduled("AuthorizerSync")
        check(run.get("changed") == 1, f"the sync answers {run}")
        self.good(self.ask(authorizer_appid=TEAHOUSE))
        return f"taken over from WeChat's list of {run['listed']}; a caller gets a token"

    def secret(self):
        """Token and key change in the console and in the secret; WeChat's pushes come under either for a while."""
        before = self.wechat.secret
        self.wechat.change_secret(token="exampleToken2", encoding_aes_key="cHFyc3R1dnd4eXowMTIzNDU2Nzg5YWJjZGVmZ2hpams")
        self.stack.secrets.put_secret_value(SecretId=self.stack.secret_arn, SecretString=json.dumps(self.wechat.secret))
        push = self.wechat.order("push", info_type="component_verify_ticket")
        check(push["delivered"] and len(push["attempts"]) == 1, f"not taken at once: {push}")
        query, body = sealed(before, self.wechat.relay.taken[-1])
        answer = self.api.call("POST", f"/wechat/events?{query}", data=body)
        check(answer.text == "success", f"under the old keys it is answered with {answer.status_code}")
        return "the first push under the new keys is taken, and one under the old ones still"

    def forged_push(self):
        """A forged push after the change of the secret: an instance fetches the secret at most once a minute."""
        _, body = sealed(self.wechat.secret, "<xml></xml>")
        query, _ = sealed(self.wechat.secret, "<xml/>")
        answer = self.api.call("POST", f"/wechat/events?{query}", data=body)
        check(answer.status_code == 403, f"answered with {answer.status_code}")
        return "403"

    def right_taken_away(self):
        """Without its right to read authorizers, the getter fails."""
        role, documents = self.stack.role("TokenGetter"), self.stack.documents("TokenGetter")
        [(name, document)] = documents.items()
        kept = [one for one in document["Statement"] if one["Action"] != "dynamodb:GetItem"]
        less = json.dumps({**document, "Statement": kept})
        self.stack.iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=less)
        error = self.ask(authorizer_appid=TEAHOUSE).get("errorType")
        check(error == "store_unavailable", f"the getter answers {error}")
        self.stack.iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))
        self.good(self.ask(authorizer_appid=TEAHOUSE))
        return f"{error}; given back, it works"

    def ask(self, **request):
        return self.stack.invoke("TokenGetter", request, self.caller)

    def good(self, answer):
        check("access_token" in answer, f"the getter answers {answer.get('errorType')}")
        check(self.wechat.accepts(answer["access_token"]), "WeChat does not accept the token")

    def row(self, appid):
        key = {"pk": f"authorizer#{appid}"}
        return self.stack.table.get_item(Key=key, ConsistentRead=True).get("Item", {})

    def change(self, appid, **values):
        self.update(f"authorizer#{appid}", **values)

    def update(self, pk, **values):
        self.stack.table.update_item(
            Key={"pk": pk}, UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in values),
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()})
