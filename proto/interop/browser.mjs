// A real browser for the tests in this folder: Chromium, told by lines of JSON
// on stdin what its user does, with one answer per line on stdout.
//
//   node browser.mjs [--no-javascript] [--width=360]
//
// Orders: {"goto": URL}, {"press": KEY}, {"type": TEXT}, {"click": NAME},
// {"screenshot": FILE}; NAME is what a person reads on the thing. With "until"
// the answer waits for another page, one that shows that text. It is the page
// as a person sees it, or {"error": ...}.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import puppeteer from 'puppeteer-core';

const patience = 30000; // ms
const width = process.argv.find((a) => a.startsWith('--width='))?.split('=')[1] ?? 1024;
const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'chromium-'));
const browser = await puppeteer.launch({
  executablePath: '/usr/bin/chromium',
  headless: true,
  userDataDir: profile,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
});
const page = await browser.newPage(); // not the first one: Chromium may still be replacing that
await page.setViewport({ width: Number(width), height: 740 });
await page.setJavaScriptEnabled(!process.argv.includes('--no-javascript'));
page.setDefaultTimeout(patience);

const hosts = new Set(); // whom the pages spoke to
const complaints = []; // what the console says: of a style that was blocked, say
page.on('request', (r) => r.url().startsWith('data:') || hosts.add(new URL(r.url()).host));
// A refusal is answered with 400 or 401, which the console calls an error.
page.on('console', (m) => m.type() === 'error' && !m.text().includes('status of 40') && complaints.push(m.text()));
page.on('pageerror', (e) => complaints.push(String(e)));

// Runs in the page. An element's name is what a screen reader says.
const helpers = `(() => {
  const name = (e) => (e?.getAttribute('aria-label') || e?.labels?.[0]?.innerText || e?.innerText || '').trim();
  const things = 'a, button, input:not([type=hidden]), textarea, select';
  return { name, find: (n) => [...document.querySelectorAll(things)].find((e) => name(e) === n) };
})()`;

const look = () => page.evaluate(`(() => {
  const at = document.activeElement === document.body ? null : document.activeElement;
  return {
    loaded: document.readyState === 'complete', left: !!window.left, // by the order that is obeyed
    url: location.href, title: document.title, text: document.body?.innerText ?? '',
    focus: ${helpers}.name(at), checked: !!at?.checked,
    wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  };
})()`);

// lookUntil asks again and again: a page that is being left gives no answer.
async function lookUntil(text) {
  const end = Date.now() + patience;
  for (;;) {
    const seen = await look().catch((e) => ({ text: '', problem: String(e) }));
    if (seen.loaded && !seen.left && seen.text.includes(text)) return seen;
    if (Date.now() > end) throw new Error(`no page shows "${text}": ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function obey(order) {
  if (order.until) await page.evaluate('window.left = true');
  if (order.goto) await page.goto(order.goto);
  if (order.press) await page.keyboard.press(order.press);
  if (order.type) await page.keyboard.type(order.type);
  if (order.click) {
    const found = (await page.evaluateHandle(`${helpers}.find(${JSON.stringify(order.click)})`)).asElement();
    if (!found) throw new Error(`nothing to click is named "${order.click}"`);
    await found.click();
  }
  const seen = await lookUntil(order.until ?? '');
  if (order.screenshot) await page.screenshot({ path: order.screenshot, fullPage: true });
  return { ...seen, hosts: [...hosts], complaints };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const answer = await obey(JSON.parse(line)).catch((e) => ({ error: String(e), url: page.url() }));
  console.log(JSON.stringify(answer));
}
await browser.close();
fs.rmSync(profile, { recursive: true, force: true });
