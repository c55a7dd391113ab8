"""The steps in order; the first step that fails ends the run, and its name is printed."""

import os
import signal
import sys
import time
import traceback

import policies
import stack as stacks
import wechat as wechats
from parts import WORK, Wrong, adopt_orphans, end_orphans
from story import Story


class Ended(BaseException):
    """A signal ended the run."""


def say(line):
    print(line, flush=True)


def step(name, act):
    began = time.monotonic()
    try:
        seen = act()
    except Wrong as wrong:
        say(f"  WRONG  {name}\n         {wrong}")
        raise
    except Exception:
        say(f"  WRONG  {name}\n{traceback.format_exc()}")
        raise Wrong from None
    say(f"  ok  {name}: {seen} ({time.monotonic() - began:.1f} s)")


def play():
    adopt_orphans()
    running = []

    def start():
        running.append(wechats.Wechat())
        running.append(stacks.Aws())
        return "on free ports of this machine"

    try:
        step("both templates are linted", stacks.lint)
        step("SAM builds the functions", stacks.build)
        step("cargo builds the simulated WeChat", wechats.build)
        step("WeChat and AWS start", start)
        wechat, aws = running
        stack = stacks.Stack(aws, wechat)
        step("the vendor has a reply function", stack.add_reply_function)
        step("SAM deploys the stack", stack.deploy)
        step("the functions' variables and managed policies", lambda: policies.as_agreed(stack))
        step("the API's routes", stack.open_api)
        step("a gate before each function", stack.open_gates)
        story = Story(stack, wechat)
        step("no ticket has come yet", story.before_the_first_ticket)
        step("WeChat pushes a ticket", story.ticket)
        step("a caller asks for the component token", story.foreign_caller)
        step("a merchant authorizes", story.authorize)
        step("notices come through the stream", story.stream)
        step("a caller asks for authorizers' tokens", story.getter)
        step("a customer writes to an account", story.message)
        step("the bus's answer gets lost", story.kept_message)
        step("WeChat checks the component before its release", story.release_check)
        step("the schedule runs the refresher", story.refresh)
        step("WeChat refuses a token", story.rotate_if)
        step("the table's answer gets lost", story.lost_answer)
        step("a notice is left over", story.left_over)
        step("WeChat limits an account", story.limited)
        step("a merchant withdraws", story.revoke)
        step("the schedule runs the reconciliation", story.reconcile)
        step("the secret changes", story.secret)
        step("a forged push arrives", story.forged_push)
        step("policies are compared with calls", lambda: policies.compared_with_calls(stack))
        step("a right is taken away", story.right_taken_away)
        step("SAM deletes the stack", stack.delete)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for process in reversed(running):
            process.end()
        end_orphans()


def ended(*_):
    raise Ended


if __name__ == "__main__":
    WORK.mkdir(parents=True, exist_ok=True)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]  # The person who runs this may be signed in to a real account.
    signal.signal(signal.SIGTERM, ended)
    try:
        play()
    except Wrong:
        sys.exit(1)
    except (Ended, KeyboardInterrupt):
        sys.exit(130)
    say("\n  Every step was right.")
