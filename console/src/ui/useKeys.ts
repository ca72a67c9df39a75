import { useLayoutEffect, useRef, useSyncExternalStore } from "react";

const SETTING = "relayrun.keys";
const listeners = new Set<() => void>();

/** Whether single keys do something; who uses speech input can turn that off. */
export function useSingleKeys(): [boolean, (on: boolean) => void] {
  const on = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => localStorage.getItem(SETTING) !== "off",
  );
  const set = (next: boolean) => {
    localStorage.setItem(SETTING, next ? "on" : "off");
    for (const listener of listeners) listener();
  };
  return [on, set];
}

/** What single keys do while nothing is written and no dialog is open. */
export function useKeys(keys: Record<string, () => void>): void {
  const [on] = useSingleKeys();
  const current = useRef(keys);
  useLayoutEffect(() => {
    current.current = keys;
  });
  useLayoutEffect(() => {
    if (!on) return;
    const press = (event: KeyboardEvent) => {
      const { target } = event;
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (!(target instanceof HTMLElement) || target.closest("textarea, select, input:not([type=radio], [type=checkbox])")) return;
      if (document.querySelector(".dialog")) return;
      const act = Object.hasOwn(current.current, event.key) ? current.current[event.key] : undefined;
      if (!act) return;
      event.preventDefault();
      act();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [on]);
}
