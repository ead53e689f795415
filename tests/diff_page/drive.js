// Reads the page of csign diff in headless Chromium: node-peers drive.js CHROMIUM PAGE CHECK DIRECTORY
// A failure throws.
"use strict";
const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const { chromium } = require("playwright-core");

const [executablePath, file, check, directory] = process.argv.slice(2);
const address = pathToFileURL(file).href;

const checks = {
  async hostile(page) {
    const made = await page.evaluate(() => [
      document.querySelectorAll("img, a:not(.skip)").length, document.scripts.length, window.owned, document.querySelectorAll("[onerror]").length,
    ]);
    assert.deepEqual(made, [0, 1, undefined, 0]);
    await page.click("#open");
    const text = await page.locator("body").innerText();
    assert.ok(text.includes("<img src=x onerror=\"window.owned=1\"><script>"), "it is shown as it is");
    assert.ok(text.includes("\\u{202e}") && !text.includes("\u202e"), "what reorders text is shown as its number");
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

  async keyboard(page) {
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip", "the skip link comes first");
    await page.keyboard.press("Tab");
    const evidence = () => page.evaluate(() => document.activeElement.parentElement.open);
    assert.equal(await page.evaluate(() => document.activeElement.innerText), "Evidence");
    const before = await evidence();
    await page.keyboard.press("Enter");
    assert.equal(await evidence(), !before);
    await page.focus("#close");
    await page.keyboard.press("Enter");
    assert.equal(await page.locator("details.node[open]").count(), 0);
    await page.focus("#open");
    await page.keyboard.press("Space");
    assert.equal(await page.locator("details.node:not([open])").count(), 0);
  },

  async scriptless(page) {
    assert.ok(!await page.locator("#open").isVisible(), "what needs a script is not offered");
    const text = await page.locator("main").innerText();
    assert.ok(text.includes("tiny 1.2.3") && text.includes("tiny 1.2.4"));
    // The words that differ are marked, and nothing else of the line.
    assert.deepEqual(await page.locator(".lines mark").allInnerTexts(), ["1.2.3", "1.2.4"]);
  },

  async screenshot(page) {
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      const picture = path.join(directory, `diff-${colorScheme}.png`);
      await page.screenshot({ path: picture });
      assert.ok(fs.statSync(picture).size > 40000, "the picture is nearly empty");
      await page.click("#open");
      await page.locator(".lines").first().scrollIntoViewIfNeeded();
      await page.screenshot({ path: path.join(directory, `diff-${colorScheme}-open.png`) });
      await page.click("#close");
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it scrolls sideways");
      // All text has the contrast that WCAG 2.2 asks of small text.
      const weak = await page.evaluate(() => {
        const parse = text => {
          const numbers = text.match(/[\d.]+/g).map(Number);
          return text.startsWith("color(") ? numbers.map((v, at) => at < 3 ? v * 255 : v) : numbers;
        };
        const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
          .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
        const ground = element => {
          for (let at = element; at; at = at.parentElement) {
            const color = parse(getComputedStyle(at).backgroundColor);
            if (color.length < 4 || color[3] > 0) return color;
          }
          return [255, 255, 255];
        };
        const texts = document.createTreeWalker(document.querySelector("body"), NodeFilter.SHOW_TEXT);
        const found = [];
        while (texts.nextNode()) {
          const element = texts.currentNode.parentElement;
          if (!texts.currentNode.data.trim() || ["SCRIPT", "STYLE"].includes(element.tagName) || element.closest(".skip")) continue;
          const [a, b] = [parse(getComputedStyle(element).color), ground(element)].map(luminance).sort((x, y) => y - x);
          if ((a + 0.05) / (b + 0.05) < 4.5) found.push(`${texts.currentNode.data.slice(0, 40)} ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
        }
        return [...new Set(found)].slice(0, 10);
      });
      assert.deepEqual(weak, [], colorScheme);
    }
  },
};

(async () => {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, javaScriptEnabled: check !== "scriptless" });
    const page = await context.newPage();
    const asked = [];
    page.on("request", request => asked.push(request.url()));
    await page.goto(address);
    await checks[check](page);
    assert.deepEqual(asked.filter(url => url !== address && !url.startsWith("https://example.com")), [], "it asks for nothing");
    console.log("passed");
  } finally {
    await browser.close();
  }
})().catch(error => {
  console.error(error);
  process.exit(1);
});
