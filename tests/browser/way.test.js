// The whole way to WeChat and back, and what else a person does with a browser.
"use strict";

const assert = require("node:assert/strict");

const { BOOKSHOP, TEAHOUSE, waitFor, way, wayInBothLanguages } = require("./parts.js");

/** Asserts that a result page names the account. */
async function names(merchant, account, page = merchant.page) {
  const text = await page.locator(".account").innerText();
  assert.ok(text.includes(account.name) && text.includes(account.appid), text);
}

async function isServed(local, account) {
  const { access_token, errorType } = await local.token(account);
  assert.ok(access_token, errorType);
}

/** Waits until the notice is handled. */
async function isServedSoon(local, account) {
  await waitFor("the account's token", async () => (await local.token(account)).access_token);
}

wayInBothLanguages("a merchant who confirms on WeChat's page is told which account is connected", {}, async (merchant, local) => {
  await merchant.goToWechat();
  await merchant.look("consent");
  assert.equal((await merchant.confirm()).status(), 200);
  await merchant.reads("授权成功", "Connected");
  await names(merchant, BOOKSHOP);
  await isServed(local, BOOKSHOP);
  // On this machine the page says how to ask for the token of this very account.
  const command = await merchant.page.locator(".local code").innerText();
  assert.ok(command.includes("/_local/token") && command.includes(BOOKSHOP.appid), command);
  await merchant.look("connected");
});

wayInBothLanguages("a result page that is loaded again still says connected", {}, async (merchant, local) => {
  await merchant.goToWechat();
  await merchant.confirm();
  await merchant.reads("授权成功", "Connected");
  const exchanges = await local.calls("api_query_auth");
  assert.equal((await merchant.page.reload()).status(), 200);
  await merchant.reads("该账号已授权", "Already connected");
  await names(merchant, BOOKSHOP);
  assert.equal(await local.calls("api_query_auth"), exchanges);
  await merchant.look("already-connected");
});

way("an account that is connected can be connected once more", {}, async (merchant, local) => {
  for (const _ of ["once", "again"]) {
    await merchant.goToWechat();
    assert.equal((await merchant.confirm()).status(), 200);
    await merchant.reads("授权成功", "Connected");
    await isServed(local, BOOKSHOP);
  }
});

wayInBothLanguages("a merchant whose account was connected by another link is told so", {}, async (merchant, local) => {
  for (const [reference, title] of [
    ["first", ["授权成功", "Connected"]],
    ["second", ["该账号此前已授权", "Already connected"]],
  ]) {
    merchant.start = `${local.url}/auth/start?reference=${reference}`;
    await merchant.goToWechat();
    await merchant.confirm();
    await merchant.reads(...title);
    await names(merchant, BOOKSHOP);
  }
  await merchant.look("connected-before");
});

way("a merchant who does not confirm goes back and may try again", {}, async (merchant, local) => {
  await merchant.goToWechat();
  await merchant.page.getByRole("button", { name: "取消" }).click();
  await merchant.page.getByRole("heading", { name: "您已取消本次操作" }).waitFor();
  assert.equal((await local.token(BOOKSHOP)).errorType, "unknown_authorizer");
  await merchant.page.goBack();
  await merchant.isAtWechat();
  await merchant.page.goBack();
  await merchant.click();
  await merchant.isAtWechat();
  await merchant.confirm();
  await merchant.reads("授权成功", "Connected");
});

wayInBothLanguages("a merchant who comes back without a code reads that nothing was connected, and may start again", {
  start: "/auth/start?reference=shop-42",
}, async (merchant, local) => {
  await merchant.goToWechat();
  const back = new URL(merchant.page.url()).searchParams.get("redirect_uri");
  await merchant.follow(back);
  await merchant.reads("授权未完成", "Not authorized");
  assert.equal(await local.calls("api_query_auth"), 0);
  await merchant.look("denied");
  await merchant.page.getByRole("link").click();
  await merchant.page.waitForURL(merchant.start);
  await merchant.click();
  await merchant.isAtWechat();
});

way("the back button leads from WeChat's page to a button that still works", {}, async (merchant, local) => {
  await merchant.goToWechat();
  await merchant.page.goBack();
  await merchant.click();
  await merchant.isAtWechat();
  assert.equal(await local.calls("api_create_preauthcode"), 2);
  assert.equal((await merchant.confirm()).status(), 200);
  await merchant.reads("授权成功", "Connected");
});

way("the back button leads from the result to WeChat's page, and forward to the account", {}, async (merchant) => {
  await merchant.goToWechat();
  await merchant.confirm();
  await merchant.reads("授权成功", "Connected");
  await merchant.page.goBack();
  await merchant.page.goForward();
  await merchant.page.locator(".account").waitFor();
  await names(merchant, BOOKSHOP);
});

way("an impatient second click ends where one click does, for a pre-auth code each", {}, async (merchant, local) => {
  const { page } = merchant;
  await local.fault("api_component_token", { delay_ms: 500 });
  await merchant.open();
  const { x, y, width, height } = await page.locator("main form button").boundingBox();
  const click = () => page.mouse.click(x + width / 2, y + height / 2);
  await click();
  // The browser abandons the first click while the function renews the component token.
  await waitFor("the first click to be under way", async () => (await local.calls("api_component_token")) === 1);
  await click();
  await merchant.isAtWechat();
  await waitFor("both clicks' pre-auth codes", async () => (await local.calls("api_create_preauthcode")) === 2);
  assert.equal(await local.calls("api_component_token"), 1);
  assert.equal((await merchant.confirm()).status(), 200);
  await merchant.reads("授权成功", "Connected");
});

way("two tabs of one browser do not disturb each other", {}, async (merchant, local) => {
  const { page, context } = merchant;
  const other = await context.newPage();
  await merchant.goToWechat(page);
  await merchant.goToWechat(other);
  assert.equal((await merchant.confirm(BOOKSHOP, page)).status(), 200);
  assert.equal((await merchant.confirm(TEAHOUSE, other)).status(), 200);
  await names(merchant, BOOKSHOP, page);
  await names(merchant, TEAHOUSE, other);
  await isServed(local, BOOKSHOP);
  await isServed(local, TEAHOUSE);
});

wayInBothLanguages("a merchant who comes back without the cookie sees the account connected by itself", {}, async (merchant, local) => {
  await merchant.goToWechat();
  await merchant.context.clearCookies();
  await merchant.confirm();
  // The merchant has confirmed: WeChat's notice connects the account, and the page sees it by itself.
  await isServedSoon(local, BOOKSHOP);
  await merchant.page.getByText(merchant.of("授权成功", "Connected"), { exact: true }).waitFor({ timeout: 20_000 });
  await names(merchant, BOOKSHOP);
  await merchant.look("connected-elsewhere");
});

wayInBothLanguages("a merchant who comes back with another browser's state is refused", {}, async (merchant) => {
  await merchant.goToWechat();
  const { address } = await merchant.confirmUnseen({ push: false });
  await merchant.context.clearCookies();
  await merchant.goToWechat();
  assert.equal((await merchant.follow(address)).status(), 400);
  await merchant.reads("正在等待微信确认", "Waiting for WeChat");
  await merchant.look("confirmed-elsewhere");
});

wayInBothLanguages("a merchant who comes back too late may start again", {
  start: "/auth/start?reference=shop-42",
}, async (merchant, local) => {
  await merchant.goToWechat();
  const { address } = await merchant.confirmUnseen({ push: false });
  await local.control("clock", { advance_secs: 1801 });
  assert.equal((await merchant.follow(address)).status(), 400);
  await merchant.reads("授权页已失效", "This page has expired");
  await merchant.look("expired");
  await merchant.page.getByRole("link").click();
  await merchant.page.waitForURL(merchant.start);
});

way("a merchant who stays too long on WeChat's page is refused there, goes back, and may try again", {}, async (merchant, local) => {
  await merchant.goToWechat();
  await local.control("clock", { advance_secs: 1801 });
  await merchant.confirm();
  await merchant.page.locator("main[data-error=pre_auth_code]").waitFor();
  await merchant.page.goBack();
  await merchant.page.goBack();
  await merchant.click();
  await merchant.isAtWechat();
  assert.equal((await merchant.confirm()).status(), 200);
  await merchant.reads("授权成功", "Connected");
});

way("a result page that is loaded again after a withdrawal does not say connected", {}, async (merchant, local) => {
  await merchant.goToWechat();
  await merchant.confirm();
  await merchant.reads("授权成功", "Connected");
  // In another second than the authorization: within one second the order is unknown.
  await local.control("clock", { advance_secs: 60 });
  await local.control("revoke", { authorizer_appid: BOOKSHOP.appid });
  await waitFor("the withdrawal", async () => (await local.token(BOOKSHOP)).errorType === "authorization_revoked");
  await merchant.page.reload();
  await merchant.reads("正在等待微信确认", "Waiting for WeChat");
});

wayInBothLanguages("a state that came back with another code is not taken again", {}, async (merchant) => {
  await merchant.goToWechat();
  const { address } = await merchant.confirmUnseen({ push: false });
  assert.equal((await merchant.follow(address)).status(), 200);
  const forged = address.replace(/auth_code=[^&]+/, "auth_code=another");
  assert.equal((await merchant.follow(forged)).status(), 400);
  await merchant.reads("本次授权已处理", "This authorization has already been processed");
  await merchant.look("used");
});

way("the notice comes first: the page says connected", {}, async (merchant, local) => {
  await merchant.goToWechat();
  const { address } = await merchant.confirmUnseen({ push: true });
  await isServedSoon(local, BOOKSHOP);
  assert.equal((await merchant.follow(address)).status(), 200);
  await merchant.reads("授权成功", "Connected");
  await names(merchant, BOOKSHOP);
  assert.equal(await local.calls("api_query_auth"), 1);
});

way("the browser comes first: the notice changes nothing", {}, async (merchant, local) => {
  await merchant.goToWechat();
  const { address, auth_code } = await merchant.confirmUnseen({ push: false });
  assert.equal((await merchant.follow(address)).status(), 200);
  await merchant.reads("授权成功", "Connected");
  const { delivered } = await local.control("push", {
    info_type: "authorized",
    authorizer_appid: BOOKSHOP.appid,
    authorization_code: auth_code,
  });
  assert.ok(delivered);
  await merchant.page.reload();
  await merchant.reads("该账号已授权", "Already connected");
  await isServed(local, BOOKSHOP);
  assert.equal(await local.calls("api_query_auth"), 1);
});

way("the browser never comes: the notice connects the account", {}, async (merchant, local) => {
  await merchant.goToWechat();
  await merchant.confirmUnseen({ push: true });
  await isServedSoon(local, BOOKSHOP);
});

way("the notice never comes: the browser connects the account", {}, async (merchant, local) => {
  await merchant.goToWechat();
  const { address } = await merchant.confirmUnseen({ push: false });
  await merchant.follow(address);
  await merchant.reads("授权成功", "Connected");
  await isServed(local, BOOKSHOP);
});
