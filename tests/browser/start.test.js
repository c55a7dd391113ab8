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
  await merchant.reads(
    `将公众号或小程序授权给${merchant.local.host}`,
    `Connect your Official Account or Mini Program to ${merchant.local.host}`,
  );
  assert.ok((await answer.body()).length < MAX_PAGE_BYTES);
  const here = merchant.of("这是本机地址，手机打不开。", "Only this machine can open this address; a phone cannot.");
  await merchant.page.getByText(here).waitFor();
  await merchant.look("start");
  assert.deepEqual(merchant.requests, [merchant.start], "the page asks for more than itself");
});

wayInBothLanguages("on a phone the start page offers no code to scan", { agent: "iphone" }, async (merchant) => {
  await merchant.open();
  await merchant.look("start-on-phone");
  assert.equal(await merchant.page.locator("main svg").count(), 0);
  assert.equal(await merchant.page.getByRole("textbox").innerText(), merchant.start);
  // Copying is the main thing here: its button stands before the one that may not work.
  const buttons = await merchant.page.getByRole("button").allInnerTexts();
  assert.deepEqual(buttons, [merchant.of("复制链接", "Copy the link"), merchant.of("前往微信授权", "Continue to WeChat")]);
});

for (const allowed of [true, false]) {
  way(`a tap copies the link, though the browser ${allowed ? "lets" : "does not let"} a page write`, { agent: "iphone" }, async (merchant) => {
    await merchant.context.grantPermissions(["clipboard-read", "clipboard-write"]);
    if (!allowed) await merchant.page.addInitScript(() => delete Navigator.prototype.clipboard);
    await merchant.open();
    await merchant.page.getByRole("button", { name: "复制链接" }).click();
    await merchant.page.getByRole("status").getByText("已复制").waitFor();
    const other = await merchant.context.newPage();
    await other.goto(merchant.start);
    await other.bringToFront();
    assert.equal(await other.evaluate(() => navigator.clipboard.readText()), merchant.start);
  });
}

way("without scripts a tap selects the link whole", { agent: "iphone", scripts: false }, async (merchant) => {
  await merchant.open();
  const { page } = merchant;
  assert.equal(await page.getByRole("button").count(), 1, "the button that copies is shown");
  await page.getByRole("textbox").click();
  assert.equal(await page.evaluate(() => getSelection().toString()), merchant.start);
});

way("a merchant switches the language, and the link stays as it is", {
  start: "/auth/start?auth_type=1&reference=shop-42",
}, async (merchant) => {
  await merchant.open();
  for (const [other, language] of [["English", "en"], ["中文", "zh"], ["English", "en"]]) {
    await merchant.page.getByRole("link", { name: other }).click();
    merchant.language = language;
    await merchant.reads(`将公众号授权给${merchant.local.host}`, `Connect your Official Account to ${merchant.local.host}`);
    const { searchParams } = new URL(merchant.page.url());
    assert.equal(searchParams.get("reference"), "shop-42");
    assert.equal(searchParams.get("auth_type"), "1");
  }
  await merchant.look("start-switched");
  await merchant.click();
  await merchant.isAtWechat();
  assert.equal((await merchant.confirm()).status(), 200);
  await merchant.reads("授权成功", "Connected");
});

wayInBothLanguages("inside WeChat the start page offers only the button", { agent: "wechat" }, async (merchant) => {
  await merchant.open();
  await merchant.look("start-in-wechat");
  assert.equal(await merchant.page.locator("main svg").count(), 0);
  assert.equal(await merchant.page.getByRole("textbox").count(), 0);
});

wayInBothLanguages("inside WeCom the start page offers only its link", { agent: "wecom" }, async (merchant) => {
  await merchant.open();
  await merchant.look("start-in-wecom");
  assert.equal(await merchant.page.locator("form").count(), 0);
  assert.equal(await merchant.page.getByRole("textbox").innerText(), merchant.start);
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

/** Brand colours, and the text that their buttons have on a light page. */
const COLORS = {
  bright: ["#ffe100", "black"],
  blue: ["#1677ff", "white"],
  dark: ["#000060", "white"],
  red: ["#f5222d", "white"],
  orange: ["#ff5000", "white"],
  green: ["#07c160", "black"],
};

/** The contrast of two colours as the browser shows them. Source: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio */
function contrast(one, other) {
  const [light, dark] = [one, other].map((color) => {
    const [red, green, blue] = color.match(/\d+/g).map((channel) => {
      const share = channel / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05;
  }).sort((a, b) => b - a);
  return light / dark;
}

async function buttonIsSeen(merchant, scheme) {
  await merchant.page.emulateMedia({ colorScheme: scheme });
  const [card, button, edge, text] = await merchant.page.evaluate(() => {
    const [main, button] = ["main", "form button"].map((name) => getComputedStyle(document.querySelector(name)));
    return [main.backgroundColor, button.backgroundColor, button.borderTopColor, button.color];
  });
  assert.ok(contrast(button, text) >= 4.5, `${scheme}: ${text} on ${button}`);
  assert.ok(contrast(edge, card) >= 3, `${scheme}: ${edge} on ${card}`);
  return text === "rgb(255, 255, 255)" ? "white" : "black";
}

for (const [shade, [color, text]] of Object.entries(COLORS)) {
  const logo = "https://cdn.vendor.example";
  wayInBothLanguages(`a vendor whose colour is ${shade} is recognized, and everything can be read`, {
    local: [
      "--vendor-name", "微店通 Weidiantong", "--vendor-logo-url", `${logo}/logo.png`, "--vendor-accent-color", color,
      "--vendor-support", "400-800-1234", "--vendor-privacy-url", `${logo}/privacy`, "--icp-number", "粤ICP备00000000号",
    ],
    back: [logo],
  }, async (merchant) => {
    // As behind a domain, whose address a phone can open.
    await merchant.context.setExtraHTTPHeaders({ "x-forwarded-proto": "https" });
    await merchant.open();
    assert.equal(await merchant.page.locator(".vendor").innerText(), "微店通 Weidiantong");
    assert.equal(await buttonIsSeen(merchant, "light"), text);
    await buttonIsSeen(merchant, "dark");
    // The logo does not come, and no hole shows where it was.
    const { x } = await merchant.page.locator(".vendor").boundingBox();
    const word = await merchant.page.locator(".vendor").evaluate((vendor) => {
      const range = document.createRange();
      range.selectNode(vendor.lastChild);
      return range.getBoundingClientRect().x;
    });
    assert.equal(word, x);
    assert.ok((await merchant.page.title()).endsWith(" - 微店通 Weidiantong"));
    // The logo does not exist, but the browser requests it.
    assert.ok(merchant.requests.includes(`${logo}/logo.png`));
    await merchant.look(`start-of-${shade}-vendor`);
  });
}

wayInBothLanguages("on the narrowest phone a long name breaks nothing", {
  agent: "iphone",
  local: ["--vendor-name", "深圳市".repeat(20)],
  start: `/auth/start?auth_type=6&biz_appid=wx1a2b3c4d5e6f7081&reference=${"x".repeat(128)}`,
}, async (merchant) => {
  merchant.sizes = { narrow: { width: 320, height: 568 } };
  await merchant.open();
  await merchant.look("start-narrow");
});

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
