// What a merchant reads when WeChat fails or refuses.
"use strict";

const assert = require("node:assert/strict");

const { BOOKSHOP, waitFor, way, wayInBothLanguages } = require("./parts.js");

/** Clicks the start page's button while WeChat issues no pre-auth code. */
async function clickWithoutCode(merchant) {
  await merchant.open();
  const [answer] = await Promise.all([
    merchant.page.waitForResponse((answer) => answer.request().method() === "POST"),
    merchant.click(),
  ]);
  assert.equal(answer.status(), 503);
  await merchant.reads("暂时无法打开微信授权页", "We can't start the authorization right now");
}

for (const errcode of [45009, 61004]) {
  way(`after errcode ${errcode} at the click the merchant can click again`, {}, async (merchant, local) => {
    await local.fault("api_create_preauthcode", { errcode });
    await clickWithoutCode(merchant);
    assert.ok(!(await merchant.page.content()).includes(errcode), "the page tells what only the vendor needs");
    await merchant.click();
    await merchant.isAtWechat();
  });
}

wayInBothLanguages("a click while WeChat is down can be tried again", {}, async (merchant, local) => {
  await local.fault("api_create_preauthcode", { http_status: 502, times: 100 });
  await clickWithoutCode(merchant);
  await merchant.look("unavailable");
});

wayInBothLanguages("a lost answer to the exchange is repaired by the notice", {}, async (merchant, local) => {
  await local.fault("api_query_auth", { answer_lost: true });
  await merchant.goToWechat();
  const { address, auth_code } = await merchant.confirmUnseen({ push: false });
  await merchant.follow(address);
  await merchant.reads("正在等待微信确认", "Waiting for WeChat");
  await merchant.look("unconfirmed");
  await local.control("push", {
    info_type: "authorized",
    authorizer_appid: BOOKSHOP.appid,
    authorization_code: auth_code,
  });
  await waitFor("the account's token", async () => (await local.token(BOOKSHOP)).access_token);
  // The page looks again by itself.
  await merchant.reads("该账号已授权", "Already connected");
});

wayInBothLanguages("an exchange that WeChat cannot answer now can be retried later", {}, async (merchant, local) => {
  await local.fault("api_query_auth", { http_status: 502, times: 100 });
  await merchant.goToWechat();
  const { address } = await merchant.confirmUnseen({ push: false });
  assert.equal((await merchant.follow(address)).status(), 503);
  await merchant.reads("授权已提交，暂未处理完成", "We couldn't finish yet");
  await merchant.look("failed");
});

wayInBothLanguages("a result page that is opened without WeChat says that nothing was connected", {}, async (merchant, local) => {
  const answer = await merchant.page.goto(`${local.url}/auth/callback`);
  assert.equal(answer.status(), 400);
  await merchant.reads("请勿直接打开本页", "Do not open this page directly");
  await merchant.look("not-from-wechat");
});
