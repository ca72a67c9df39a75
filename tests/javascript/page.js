// A page without a browser: React renders a hook into jsdom, and a test looks at what the hook last returned.
import { JSDOM } from "jsdom";

const { window } = new JSDOM("<main></main>", { url: "http://localhost:3000/" });
for (const name of ["document", "navigator", "sessionStorage", "HTMLElement", "CustomEvent"]) {
  Object.defineProperty(globalThis, name, { value: window[name], configurable: true });
}
globalThis.window = window;
globalThis.IS_REACT_ACT_ENVIRONMENT = false;

const { createElement } = await import("react");
const { createRoot } = await import("react-dom/client");

/** Renders `hook()`; `current()` is what it returned last. */
export function rendered(hook) {
  const root = createRoot(window.document.createElement("div"));
  let last;
  function Component() {
    last = hook();
    return null;
  }
  root.render(createElement(Component));
  return { current: () => last, leave: () => root.unmount() };
}

/** What `question()` answers once that is true; rejects after some seconds. */
export async function until(question, what = "it", seconds = 50) {
  const end = Date.now() + seconds * 1_000;
  for (;;) {
    const answer = question();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`${what} did not happen within ${seconds} s`);
    await new Promise((go) => setTimeout(go, 10));
  }
}
