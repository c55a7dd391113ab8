// Which entry pages WeChat accepts: only our own, with a return address on the same host.
"use strict";

const assert = require("node:assert/strict");
const { createServer } = require("node:http");

const { way } = require("./parts.js");

const PC_PAGE = "/cgi-bin/componentloginpage";
const MOBILE_PAGE = "/wxaopen/safe/bindcomponent";

/** The request that leads the browser to WeChat after a click. */
async function clicked(merchant) {
  await merchant.open();
  const [request] = await Promise.all([
    merchant.page.waitForRequest((request) => request.url().startsWith(merchant.local.wechat)),
    merchant.click(),
  ]);
  return { url: new URL(request.url()), headers: await request.allHeaders() };
}

/** The address of WeChat's page, from a click that the browser did not make. */
async function unvisited(merchant) {
  const answer = await fetch(merchant.start, { method: "POST", redirect: "manual" });
  assert.equal(answer.status, 303);
  return answer.headers.get("location");
}

/** Asserts that WeChat refuses the merchant and names both hosts. */
async function isRefused(merchant, entry, redirect) {
  const refusal = merchant.page.locator("main[data-error=domain]");
  await refusal.waitFor();
  const text = await refusal.textContent();
  assert.ok(text.includes(`授权入口页所在域名：${entry}，`), text);
  assert.ok(text.endsWith(`授权后回调页所在域名：${redirect}`), text);
}

way("a click on a PC leads to WeChat's PC page, which learns our host and nothing more", {
  start: "/auth/start?reference=shop-42",
}, async (merchant, local) => {
  const { url, headers } = await clicked(merchant);
  assert.equal(url.pathname, PC_PAGE);
  assert.equal(headers.referer, `${local.url}/`);
  assert.equal(new URL(url.searchParams.get("redirect_uri")).host, local.host);
  await merchant.isAtWechat();
});

for (const agent of ["wechat", "iphone"]) {
  way(`a click in the ${agent} browser leads to WeChat's mobile page`, { agent }, async (merchant) => {
    const { url } = await clicked(merchant);
    assert.equal(url.pathname, MOBILE_PAGE);
    await merchant.isAtWechat();
    assert.equal(new URL(merchant.page.url()).hash, "#wechat_redirect");
    assert.equal((await merchant.confirm()).status(), 200);
    await merchant.reads("授权成功", "Connected");
  });
}

way("a merchant who types WeChat's address is refused", {}, async (merchant, local) => {
  await merchant.page.goto(await unvisited(merchant));
  await isRefused(merchant, "(空)", local.host);
});

way("a merchant who comes from a page of another host is refused", {}, async (merchant, local) => {
  const address = await unvisited(merchant);
  const page = createServer((_, answer) => {
    answer.setHeader("content-type", "text/html").end(`<a href="${address.replaceAll("&", "&amp;")}">WeChat</a>`);
  });
  await new Promise((resolve) => page.listen(0, "127.0.0.1", resolve));
  try {
    const foreign = `vendor.localhost:${page.address().port}`;
    merchant.known.push(`http://${foreign}`);
    await merchant.page.goto(`http://${foreign}/`);
    await merchant.page.getByRole("link").click();
    await isRefused(merchant, foreign, local.host);
  } finally {
    page.close();
    page.closeAllConnections();
  }
});

way("a return address on another host is refused", {}, async (merchant, local) => {
  const address = new URL(await unvisited(merchant));
  const back = new URL(address.searchParams.get("redirect_uri"));
  back.host = "elsewhere.example";
  back.port = "";
  address.searchParams.set("redirect_uri", back.href);
  await merchant.open();
  await merchant.follow(address.href);
  await isRefused(merchant, local.host, back.host);
});

way("a host that is not registered in WeChat's console is refused", {}, async (merchant, local) => {
  await local.control("settings", { authorization_host: "registered.example" });
  await merchant.open();
  await merchant.click();
  await isRefused(merchant, local.host, local.host);
});
