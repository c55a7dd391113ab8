// What a link may ask for, and where it may send the merchant afterwards.
"use strict";

const assert = require("node:assert/strict");
const { createHmac, randomBytes } = require("node:crypto");

const { BOOKSHOP, way, wayInBothLanguages } = require("./parts.js");

const KEY = randomBytes(32);
const SIGNED = ["--link-signing-key", KEY.toString("base64")];

const VENDOR = "https://shop.example";
const RETURNING = ["--return-origin", VENDOR];

function signed(query) {
  const signature = createHmac("sha256", KEY).update(query.split("&").sort().join("&")).digest("hex");
  return `/auth/start?${query}&signature=${signature}`;
}

function inSecs(secs) {
  return Math.floor(Date.now() / 1000) + secs;
}

/** Asserts that a link is refused without a call to WeChat. */
async function isRefused(merchant) {
  const answer = await merchant.page.goto(merchant.start);
  assert.equal(answer.status(), 400);
  await merchant.reads("链接无法使用", "This link does not work");
  assert.equal(await merchant.page.getByRole("button").count(), 0);
  const clicked = await fetch(merchant.start, { method: "POST", redirect: "manual" });
  assert.equal(clicked.status, 400);
  assert.equal(await merchant.local.calls("api_create_preauthcode"), 0);
}

async function says(merchant, chinese, english) {
  await merchant.page.getByText(merchant.of(chinese, english)).waitFor();
}

wayInBothLanguages("a link with wrong parameters is refused", { start: "/auth/start?auth_type=7" }, async (merchant) => {
  await isRefused(merchant);
  await says(merchant, "链接不完整或有误。", "The link is incomplete or wrong.");
  await says(merchant, "link_malformed(auth_type)", "link_malformed(auth_type)");
  await merchant.look("link-malformed");
});

wayInBothLanguages("a link without a signature is refused where links must be signed", {
  local: SIGNED,
  start: "/auth/start?reference=shop-42",
}, async (merchant) => {
  await isRefused(merchant);
  await says(merchant, "链接已失效或被改动。", "The link is no longer valid, or it was changed.");
  await merchant.look("link-unsigned");
});

way("a signed link that was changed is refused", {
  local: SIGNED,
  start: signed(`expires=${inSecs(3600)}&reference=shop-42`).replace("shop-42", "shop-43"),
}, async (merchant) => {
  await isRefused(merchant);
});

wayInBothLanguages("a signed link that has expired is refused", {
  local: SIGNED,
  start: signed(`expires=${inSecs(-1)}&reference=shop-42`),
}, async (merchant) => {
  await isRefused(merchant);
  await says(merchant, "链接已过期。", "The link has expired.");
  await merchant.look("link-expired");
});

way("a signed link leads to WeChat and back", {
  local: SIGNED,
  start: signed(`expires=${inSecs(3600)}&reference=shop-42`),
}, async (merchant) => {
  await merchant.goToWechat();
  assert.equal((await merchant.confirm()).status(), 200);
  await merchant.reads("授权成功", "Connected");
});

way("a link leads back to the vendor, with the account and the reference", {
  local: RETURNING,
  start: `/auth/start?reference=shop-42&return_to=${encodeURIComponent(`${VENDOR}/connected?plan=1`)}`,
  back: [VENDOR],
}, async (merchant) => {
  await merchant.goToWechat();
  const expected = `${VENDOR}/connected?plan=1&authorizer_appid=${BOOKSHOP.appid}&reference=shop-42&result=connected`;
  await leadsTo(merchant, expected, () => merchant.page.getByRole("button", { name: "授权", exact: true }).click());
});

way("a link leads back to the vendor even if nothing was connected", {
  local: RETURNING,
  start: `/auth/start?reference=shop-42&return_to=${encodeURIComponent(`${VENDOR}/`)}`,
  back: [VENDOR],
}, async (merchant) => {
  await merchant.goToWechat();
  const back = new URL(merchant.page.url()).searchParams.get("redirect_uri");
  const expected = `${VENDOR}/?reference=shop-42&result=denied`;
  await leadsTo(merchant, expected, () => merchant.page.evaluate((back) => location.assign(back), back));
});

/** Asserts where the browser is sent. The vendor's host does not exist here, so the request counts. */
async function leadsTo(merchant, expected, act) {
  const [request] = await Promise.all([
    merchant.page.waitForRequest((request) => request.url().startsWith(VENDOR)),
    act(),
  ]);
  assert.equal(request.url(), expected);
}

wayInBothLanguages("a link with a return address on another host is refused", {
  local: RETURNING,
  start: "/auth/start?return_to=https%3A%2F%2Felsewhere.example%2F",
}, async (merchant) => {
  await isRefused(merchant);
  await says(merchant, "链接有误：返回地址未登记。", "The link is wrong: its return address is not registered.");
  await merchant.look("link-foreign-return");
});

for (const foreign of [
  "http://shop.example/",
  "https://shop.example.elsewhere.example/",
  "https://shop.example@elsewhere.example/",
  "https://shop.example:8443/",
  "//shop.example/",
  "javascript:alert(1)",
]) {
  way(`${foreign} is refused as a return address`, {
    local: RETURNING,
    start: `/auth/start?return_to=${encodeURIComponent(foreign)}`,
  }, isRefused);
}
