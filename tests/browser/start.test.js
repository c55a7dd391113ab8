// The start page.
"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");

const jsqr = require("jsqr");
const { PNG } = require("pngjs");

const { Local, way, wayInBothLanguages } = require("./parts.js");

const MAX_PAGE_BYTES = 15_000;

/** What a phone reads from a code on the screen. */
async function scan(code) {
  const { data, width, height } = PNG.sync.read(await code.screenshot());
  return jsqr(new Uint8ClampedArray(data), width, height)?.data;
}

wayInBothLanguages("on a PC the start page says what will happen", {}, async (merchant) => {
  const answer = await merchant.open();
  await merchant.reads("授权您的公众号或小程序", "Authorize your account");
  assert.ok((await answer.body()).length < MAX_PAGE_BYTES);
  await merchant.look("start");
  assert.deepEqual(merchant.requests, [merchant.start], "the page asks for more than itself");
});

wayInBothLanguages("on a phone the start page offers no code to scan", { agent: "iphone" }, async (merchant) => {
  await merchant.open();
  await merchant.look("start-on-phone");
  assert.equal(await merchant.page.locator("main svg").count(), 0);
  assert.equal(await merchant.page.getByRole("textbox").inputValue(), merchant.start);
});

wayInBothLanguages("inside WeChat the start page offers only the button", { agent: "wechat" }, async (merchant) => {
  await merchant.open();
  await merchant.look("start-in-wechat");
  assert.equal(await merchant.page.locator("main svg").count(), 0);
  assert.equal(await merchant.page.getByRole("textbox").count(), 0);
});

wayInBothLanguages("inside WeCom the start page offers only its link", { agent: "wecom" }, async (merchant) => {
  await merchant.open();
  assert.equal(await merchant.page.getByRole("button").count(), 0);
  assert.equal(await merchant.page.getByRole("textbox").inputValue(), merchant.start);
});

for (const colorScheme of ["light", "dark"]) {
  const reference = encodeURIComponent("青禾书店 #42");
  const start = `/auth/start?auth_type=1&reference=${reference}`;
  way(`the code on the ${colorScheme} start page leads a phone to the same page`, { start }, async (merchant) => {
    await merchant.page.emulateMedia({ colorScheme });
    await merchant.open();
    assert.equal(await scan(merchant.page.getByRole("img")), merchant.start);
  });
}

way("a very long link still has a small page", {
  start: `/auth/start?auth_type=1&reference=${"%E5%BA%97".repeat(30)}`,
}, async (merchant) => {
  const answer = await merchant.open();
  assert.ok((await answer.body()).length < MAX_PAGE_BYTES);
  assert.equal(await scan(merchant.page.getByRole("img")), merchant.start);
  await merchant.look("start-of-a-long-link");
});

for (const [shade, color] of Object.entries({ bright: "#ffe100", blue: "#2456d6", dark: "#000060" })) {
  const logo = "https://cdn.vendor.example";
  wayInBothLanguages(`a vendor whose colour is ${shade} is recognized, and everything can be read`, {
    local: ["--vendor-name", "微店通 Weidiantong", "--vendor-logo-url", `${logo}/logo.png`, "--vendor-accent-color", color],
    back: [logo],
  }, async (merchant) => {
    await merchant.open();
    assert.equal(await merchant.page.getByRole("banner").innerText(), "微店通 Weidiantong");
    assert.ok((await merchant.page.title()).endsWith(" - 微店通 Weidiantong"));
    // The logo does not exist, but the browser requests it.
    assert.ok(merchant.requests.includes(`${logo}/logo.png`));
    await merchant.look(`start-of-${shade}-vendor`);
  });
}

way("the keyboard alone leads to WeChat, and the focus is visible", {}, async (merchant) => {
  await merchant.open();
  await merchant.page.keyboard.press("Tab");
  const focused = await merchant.page.evaluate(() => {
    const { tagName } = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    return { tagName, outlineStyle, outlineWidth };
  });
  assert.deepEqual(focused, { tagName: "BUTTON", outlineStyle: "solid", outlineWidth: "3px" });
  await merchant.look("start-focused");
  await merchant.page.keyboard.press("Enter");
  await merchant.isAtWechat();
});

test("a crawler that fetches the start page a thousand times costs no call to WeChat", async () => {
  const local = await Local.start([]);
  try {
    const before = await local.calls();
    const crawl = async (crawler) => {
      for (let visit = 0; visit < 100; visit += 1) {
        const answer = await fetch(`${local.url}/auth/start?reference=shop-${crawler}-${visit}`);
        assert.equal(answer.status, 200);
        await answer.arrayBuffer();
      }
    };
    await Promise.all(Array.from({ length: 10 }, (_, crawler) => crawl(crawler)));
    assert.equal(await local.calls(), before);
  } finally {
    await local.stop();
  }
});
