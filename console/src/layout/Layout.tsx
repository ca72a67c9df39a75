import { Outlet, useRouterState } from "@tanstack/react-router";
import { useEffect, useRef } from "react";

import { Navigation } from "./Navigation";

/** Navigation beside the page; above it where the window is narrow. */
export function Layout() {
  const path = useRouterState({ select: (state) => state.location.pathname });
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    // Who uses a screen reader or the keyboard starts at the new page, not in the navigation.
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [path]);
  return (
    <div className="layout">
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <Navigation />
      <main id="main" ref={main} tabIndex={-1}>
        <Outlet />
      </main>
    </div>
  );
}
