// What all tests use: the functions on a simulated WeChat, and a merchant with a real browser.
"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { join } = require("node:path");
const { after, test } = require("node:test");

const axe = require("axe-core");
const { chromium } = require("playwright-core");

/** Two of the simulated WeChat's accounts. */
const BOOKSHOP = { appid: "wx1a2b3c4d5e6f7081", name: "青禾书店" };
const TEAHOUSE = { appid: "wx2b3c4d5e6f708192", name: "山海茶社" };

const LANGUAGES = { zh: "zh-CN", en: "en-US" };

const AGENTS = {
  iphone:
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
  wechat:
    "Mozilla/5.0 (Linux; Android 14; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 MicroMessenger/8.0.44.2502(0x28002C57) WeChat/arm64",
  wecom:
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 wxwork/4.1.6 MicroMessenger/7.0.1 Language/zh ColorScheme/Light",
};

/** A small PC, and the smallest phone. */
const SIZES = { pc: { width: 1024, height: 640 }, phone: { width: 360, height: 740 } };

const PATIENCE_MS = 20_000;

/** Calls `look` until it returns something true. */
async function waitFor(what, look) {
  const until = Date.now() + PATIENCE_MS;
  while (Date.now() < until) {
    const seen = await look();
    if (seen) return seen;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`timed out waiting for ${what}`);
}

const running = new Set();
process.once("exit", () => running.forEach((child) => child.kill()));

/** All functions and a simulated WeChat, in one process on free ports. */
class Local {
  static async start(options) {
    const local = new Local();
    local.log = "";
    local.child = spawn(process.env.LOCAL, ["--port", "0", "--wechat-port", "0", ...options], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(local.child);
    for (const stream of [local.child.stdout, local.child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (local.log += text));
    }
    const address = (name) => new RegExp(`${name} +http://127\\.0\\.0\\.1:(\\d+) `).exec(local.log.replaceAll("\n", " "))?.[1];
    const [port, wechatPort] = await waitFor("local to say where it is", () => {
      assert.equal(local.child.exitCode, null, local.log);
      const ports = [address("functions"), address("WeChat")];
      return ports.every(Boolean) && ports;
    });
    // With two host names, the functions and WeChat are two sites, as in production.
    local.host = `localhost:${port}`;
    local.url = `http://${local.host}`;
    local.wechat = `http://127.0.0.1:${wechatPort}`;
    await local.control("settings", { authorization_host: local.host });
    const ticket = await local.control("push", { info_type: "component_verify_ticket" });
    assert.ok(ticket.delivered, "the first ticket was not taken");
    return local;
  }

  /** Calls the control API of the simulated WeChat. */
  async control(order, body) {
    const how = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const answer = await fetch(`${this.wechat}/_sim/${order}`, how);
    assert.ok(answer.ok, `${order}: ${answer.status}`);
    return answer.json();
  }

  async fault(endpoint, fault) {
    await this.control("faults", { endpoint, ...fault });
  }

  /** How often WeChat was called, at one endpoint or in all. */
  async calls(endpoint) {
    const calls = await this.control("calls");
    return endpoint ? (calls[endpoint] ?? 0) : Object.values(calls).reduce((sum, count) => sum + count, 0);
  }

  /** What a caller gets for an account. */
  async token(account) {
    const body = JSON.stringify({ authorizer_appid: account.appid });
    return (await fetch(`${this.url}/_local/token`, { method: "POST", body })).json();
  }

  async stop() {
    running.delete(this.child);
    const ended = new Promise((resolve) => this.child.once("close", resolve));
    if (this.child.kill()) await ended;
  }
}

/** A merchant with a browser, whose requests and complaints are kept. */
class Merchant {
  static async arrive(local, { language = "zh", agent, start = "/auth/start", back = [], scripts = true }) {
    const merchant = new Merchant();
    const site = agent ? { userAgent: AGENTS[agent], viewport: SIZES.phone } : { viewport: SIZES.pc };
    const context = await (await browser()).newContext({ locale: LANGUAGES[language], javaScriptEnabled: scripts, ...site });
    context.setDefaultTimeout(PATIENCE_MS);
    Object.assign(merchant, { local, language, context, handheld: Boolean(agent), complaints: [], requests: [] });
    merchant.known = [local.url, local.wechat, ...back];
    merchant.start = local.url + start;
    await context.exposeBinding("complain", (_, text) => merchant.complaints.push(text));
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        window.complain(`${event.effectiveDirective}: ${event.blockedURI} on ${event.documentURI}`);
      });
    });
    context.on("console", (message) => {
      if (/Content Security Policy|Refused to/i.test(message.text())) merchant.complaints.push(message.text());
    });
    context.on("request", (request) => merchant.requests.push(request.url()));
    merchant.page = await context.newPage();
    return merchant;
  }

  /** Of two texts, the one in the merchant's language. */
  of(chinese, english) {
    return this.language === "zh" ? chinese : english;
  }

  async open(page = this.page) {
    const answer = await page.goto(this.start);
    assert.equal(answer.status(), 200);
    return answer;
  }

  /** Clicks on the button of a page that leads on. */
  async click(page = this.page) {
    await page.locator("main form button").click();
  }

  /** Goes from the start page to WeChat's consent page. */
  async goToWechat(page = this.page) {
    await this.open(page);
    await this.click(page);
    await this.isAtWechat(page);
  }

  async isAtWechat(page = this.page) {
    await page.getByRole("heading", { name: "授权给第三方平台" }).waitFor();
  }

  /** Chooses an account on WeChat's page and confirms; returns the response that follows. */
  async confirm(account = BOOKSHOP, page = this.page) {
    await page.locator(`input[value=${account.appid}]`).check();
    const [answer] = await Promise.all([
      page.waitForResponse((answer) => answer.request().isNavigationRequest() && answer.status() !== 302),
      page.getByRole("button", { name: "授权", exact: true }).click(),
    ]);
    return answer;
  }

  /** Confirms at WeChat without redirecting the browser; returns the address of the redirect. */
  async confirmUnseen({ push, account = BOOKSHOP }, page = this.page) {
    const query = new URL(page.url()).searchParams;
    const order = { authorizer_appid: account.appid, pre_auth_code: query.get("pre_auth_code"), push };
    const { auth_code, expires_in } = await this.local.control("authorize", order);
    const back = new URL(query.get("redirect_uri"));
    back.searchParams.append("auth_code", auth_code);
    back.searchParams.append("expires_in", expires_in);
    return { address: back.href, auth_code };
  }

  /** Goes from the open page to an address, as a redirect would. */
  async follow(address, page = this.page) {
    const [answer] = await Promise.all([
      page.waitForResponse((answer) => answer.url() === address),
      page.evaluate((address) => location.assign(address), address),
    ]);
    await page.waitForURL(address);
    return answer;
  }

  async reads(chinese, english, page = this.page) {
    await page.getByRole("heading", { level: 1, name: this.of(chinese, english), exact: true }).waitFor();
    assert.equal(await page.locator("html").getAttribute("lang"), this.of("zh-CN", "en"));
  }

  /** Checks overflow and accessibility in each size and colour scheme; keeps screenshots named `state`. */
  async look(state) {
    const { page, language } = this;
    const sizes = this.sizes ?? (this.handheld ? { phone: SIZES.phone } : SIZES);
    for (const [size, viewport] of Object.entries(sizes)) {
      for (const colorScheme of ["light", "dark"]) {
        const seen = `${state}-${language}-${size}-${colorScheme}`;
        await page.setViewportSize(viewport);
        await page.emulateMedia({ colorScheme });
        // What `local` adds to a page, no merchant of a stack sees.
        const added = (hidden) => page.evaluate((hidden) => document.querySelectorAll(".local").forEach((part) => (part.hidden = hidden)), hidden);
        await added(true);
        await page.screenshot({ path: join(process.env.SCREENSHOTS, `${seen}.png`), fullPage: true });
        await added(false);
        const overhang = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.equal(overhang, 0, `${seen} scrolls sideways`);
        assert.deepEqual(await violations(page), [], seen);
      }
    }
  }

  /** What holds in every test: no policy was violated, and the browser called no other host than the known ones. */
  hasSeenNothingStrange() {
    assert.deepEqual(this.complaints, []);
    const strangers = this.requests.filter((url) => !this.known.includes(new URL(url).origin));
    assert.deepEqual(strangers, []);
  }
}

/** What axe finds wrong with a page. */
async function violations(page) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
}

let launched;

/** The browser of this test file. It resolves no names but this machine's. */
function browser() {
  launched ??= chromium.launch({
    executablePath: process.env.CHROMIUM,
    // A signal ends this process at once. The browser ends with it, because its pipe closes.
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
    args: ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1"],
  });
  return launched;
}

after(async () => (await launched)?.close());

/** A test with one merchant. `given` describes the merchant, and `given.local` holds options of the functions. */
function way(name, given, act) {
  test(name, async () => {
    const local = await Local.start(given.local ?? []);
    let merchant;
    try {
      merchant = await Merchant.arrive(local, given);
      await act(merchant, local);
      merchant.hasSeenNothingStrange();
    } catch (error) {
      const path = join(process.env.SCREENSHOTS, `failed-${name.replaceAll(/\W+/g, "-")}.png`);
      await merchant?.page.screenshot({ path }).catch(() => {});
      error.message += `\nat ${merchant?.page.url()}\n${merchant?.complaints.join("\n")}\n${local.log}`;
      throw error;
    } finally {
      await merchant?.context.close();
      await local.stop();
    }
  });
}

/** The same test in Chinese and in English. */
function wayInBothLanguages(name, given, act) {
  for (const language of Object.keys(LANGUAGES)) way(`${name} (${language})`, { ...given, language }, act);
}

module.exports = { BOOKSHOP, Local, TEAHOUSE, waitFor, way, wayInBothLanguages };
