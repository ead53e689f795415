// Drives the simulator's page in headless Chromium: node-peers drive.js CHROMIUM ADDRESS CHECK DIRECTORY
// Every check uses the page as a person would, and speaks to the simulator as a client would. A failure throws.
"use strict";
const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const { chromium } = require("playwright-core");

const [executablePath, address, check, directory] = process.argv.slice(2);
const url = `http://${address}/simulator/`;

// A request that STS refuses, with this text in the log.
const refused = audience => fetch(`http://${address}/v1/token`, {
  method: "POST",
  body: new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    requested_token_type: "urn:ietf:params:oauth:token-type:access_token",
    subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    scope: "https://www.googleapis.com/auth/cloud-platform",
    subject_token: "a.b.c",
    audience,
  }),
});
const total = async () => (await (await fetch(`${url}state`)).json()).total;
const rows = page => page.locator("#rows tr");
// Waits until the table says that so many match.
const matching = (page, count) => page.waitForFunction(
  wanted => document.getElementById("caption").textContent.startsWith(`${wanted} of `), count);

const checks = {
  async keyboard(page) {
    await matching(page, await total());
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip", "the skip link comes first");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.id), "text", "it leads to the filters");
    await page.keyboard.type("sts");
    await page.waitForFunction(() => document.getElementById("rows").rows.length > 0);
    assert.ok((await rows(page).allInnerTexts()).every(text => text.includes("sts")));
    assert.equal(await page.evaluate(() => document.activeElement.id), "text", "typing does not lose the focus");
    await page.keyboard.press("Escape");
    assert.equal(await page.inputValue("#text"), "");
    // Everything that can be operated is reached with the Tab key, in the order of the page.
    await page.reload();
    await matching(page, await total());
    await page.waitForFunction(() => document.querySelector("#services button"));
    const reached = [];
    for (let step = 0; step < 40; step++) {
      await page.keyboard.press("Tab");
      const id = await page.evaluate(() => {
        const at = document.activeElement;
        return at === document.body ? "" : at.id || at.dataset.service || at.tagName;
      });
      if (!id || reached.includes(id)) break;
      reached.push(id);
    }
    const order = ["help", "sts", "text", "principal", "verdict", "pause", "clear", "TR"];
    assert.deepEqual(reached.filter(id => order.includes(id)), order);
    await page.evaluate(() => document.activeElement.blur());
    // Single keys.
    await page.keyboard.press("d");
    assert.equal(await page.inputValue("#verdict"), "denied");
    await page.keyboard.press("t");
    const first = await page.evaluate(() => document.activeElement.rowIndex);
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.evaluate(() => document.activeElement.rowIndex), first + 1);
    await page.keyboard.press("End");
    await page.keyboard.press("Home");
    await page.keyboard.press("Enter");
    assert.ok(await page.locator("#details").isVisible(), "Enter shows all of a decision");
    await page.keyboard.press("Escape");
    assert.ok(!await page.locator("#details").isVisible());
    assert.equal(await page.evaluate(() => document.activeElement.tagName), "TR", "the focus is back");
    await page.keyboard.press("?");
    assert.ok(await page.locator("#keys").isVisible());
    await page.keyboard.press("Escape");
    // Single keys can be turned off, for people who dictate.
    await page.keyboard.press("?");
    await page.evaluate(() => document.getElementById("shortcuts").focus());
    await page.keyboard.press("Space");
    await page.keyboard.press("Escape");
    await page.keyboard.press("d");
    assert.equal(await page.inputValue("#verdict"), "denied", "still as it was");
  },

  async filters(page) {
    const all = await total();
    await matching(page, all);
    await page.selectOption("#verdict", "denied");
    const denied = (await (await fetch(`${url}audit?allowed=false`)).text()).trim().split("\n").length;
    await matching(page, denied);
    assert.ok((await rows(page).allInnerTexts()).every(text => text.includes("✗ denied")));
    await page.click("#services [data-service=kms]");
    assert.equal(await page.getAttribute("#services [data-service=kms]", "aria-pressed"), "true");
    await page.waitForFunction(() => [...document.getElementById("rows").rows].every(row => row.innerText.includes("kms")));
    await page.fill("#principal", "no such principal");
    await matching(page, 0);
    // The address carries the filters: the page is as it was after it is loaded again.
    await page.reload();
    await matching(page, 0);
    assert.equal(await page.inputValue("#principal"), "no such principal");
    await page.click("#clear");
    await matching(page, all);
  },

  async live(page) {
    const before = await total();
    await matching(page, before);
    await refused("//iam.googleapis.com/the-newest-of-all");
    await matching(page, before + 1);
    assert.ok((await rows(page).first().innerText()).includes("the-newest-of-all"), "the newest comes first");
    await page.waitForFunction(() => document.getElementById("announce").textContent.includes("1 denied"));
    assert.equal(await page.getAttribute("#announce", "aria-live"), "polite");
    await page.check("#pause");
    await refused("//iam.googleapis.com/while-paused");
    await page.waitForTimeout(500);
    assert.ok(!(await rows(page).first().innerText()).includes("while-paused"));
    await page.uncheck("#pause");
    await matching(page, before + 2);
  },

  async hostile(page) {
    const attack = "<img src=x onerror=\"window.owned=1\"><script>window.owned=1</script></td><a href='javascript:window.owned=1'>&amp;\u202e";
    await refused(attack);
    await matching(page, await total());
    const row = rows(page).first();
    assert.ok((await row.innerText()).includes("<img src=x onerror"), "it is shown as it is");
    await row.click();
    assert.ok((await page.locator("#members").innerText()).includes("<script>"));
    const made = await page.evaluate(() => [document.querySelectorAll("img, a:not(.skip)").length, document.scripts.length, window.owned]);
    assert.deepEqual(made, [0, 1, undefined]);
    // And were there a mistake, the policy would stop it.
    const stopped = await page.evaluate(() => {
      try {
        document.body["inner" + "HTML"] = "<b>x</b>";
        return "written";
      } catch (error) {
        return error.name;
      }
    });
    assert.equal(stopped, "TypeError");
    assert.equal(await page.evaluate(() => fetch("https://example.com/").then(() => "sent", () => "refused")), "refused");
  },

  async many(page) {
    const wanted = 10000;
    await page.waitForFunction(count => document.getElementById("caption").textContent.includes(` of ${count} `), wanted);
    assert.equal(await rows(page).count(), 300);
    await page.fill("#text", "number 4242");
    await matching(page, 1);
    await page.fill("#text", "");
    await page.click("#more");
    assert.equal(await rows(page).count(), 600);
  },

  async screenshot(page) {
    await matching(page, await total());
    await page.waitForFunction(() => document.getElementById("images").innerText.includes("running"));
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      const file = path.join(directory, `page-${colorScheme}.png`);
      await page.screenshot({ path: file });
      assert.ok(fs.statSync(file).size > 40000, "the picture is nearly empty");
      // All text has the contrast that WCAG 2.2 asks of small text.
      const weak = await page.evaluate(() => {
        const rgb = text => text.match(/[\d.]+/g).map(Number);
        const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
          .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const behind = at => {
          for (; at; at = at.parentElement) {
            const color = rgb(getComputedStyle(at).backgroundColor);
            if (color.length === 3 || color[3] > 0) return color;
          }
          return [255, 255, 255];
        };
        const found = [];
        for (const at of document.querySelectorAll("body *")) {
          const own = [...at.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
          if (!own || !at.checkVisibility() || ["SCRIPT", "STYLE"].includes(at.tagName)) continue;
          const [a, b] = [rgb(getComputedStyle(at).color), behind(at)].map(luminance);
          const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          if (ratio < 4.5) found.push(`${at.tagName} ${at.className} ${ratio.toFixed(2)}: ${at.textContent.slice(0, 40)}`);
        }
        return found;
      });
      assert.deepEqual(weak, [], colorScheme);
    }
    // Every field has a name, every table cell a heading.
    const unnamed = await page.evaluate(() => [...document.querySelectorAll("input, select, button")]
      .filter(at => !(at.labels?.length || at.textContent.trim() || at.getAttribute("aria-label"))).map(at => at.id));
    assert.deepEqual(unnamed, []);
  },
};

(async () => {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    page.setDefaultTimeout(60000);
    const faults = [];
    page.on("pageerror", error => faults.push(String(error)));
    await page.goto(url);
    await checks[check](page);
    assert.deepEqual(faults, [], "the page's script failed");
    console.log(`${check}: passed`);
  } finally {
    await browser.close();
  }
})().catch(error => {
  console.error(error);
  process.exit(1);
});
