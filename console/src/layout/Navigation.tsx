import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { configQuery } from "../api/queries";
import { signOut, useSession } from "../auth/session";
import { THEMES, type Theme, useTheme } from "../theme/theme";
import { Button } from "../ui/Button";
import { Choice } from "../ui/fields";
import { useWaiting } from "./waiting";

const PAGES = [
  { to: "/runs", name: "Runs" },
  { to: "/inbox", name: "Inbox" },
  { to: "/agents", name: "Agents" },
  { to: "/playground", name: "Playground" },
  { to: "/threads", name: "Threads" },
  { to: "/assistants", name: "Assistants" },
  { to: "/crons", name: "Crons" },
  { to: "/store", name: "Store" },
  { to: "/keys", name: "API keys" },
  { to: "/status", name: "Status" },
] as const;

export function Navigation() {
  const [open, setOpen] = useState(false);
  const config = useQuery(configQuery).data;
  const { credentials } = useSession();
  return (
    <header className="navigation">
      <div className="navigation-top">
        <Link to="/runs" search={{}} className="brand">
          Relayrun
        </Link>
        <Button className="navigation-toggle" aria-expanded={open} aria-controls="pages" onClick={() => setOpen(!open)}>
          Menu
        </Button>
      </div>
      <nav id="pages" aria-label="Pages" data-open={open || undefined}>
        <ul>
          {PAGES.filter(({ to }) => to !== "/keys" || config?.auth.includes("api-key")).map(({ to, name }) => (
            <li key={to}>
              <Link to={to} search={{}} onClick={() => setOpen(false)}>
                {name}
                {name === "Inbox" && <InboxBadge />}
              </Link>
            </li>
          ))}
        </ul>
        <div className="navigation-end">
          <ThemeSwitch />
          {credentials && <Button onClick={signOut}>Sign out</Button>}
          {config?.version && <small>Version {config.version}</small>}
        </div>
      </nav>
    </header>
  );
}

function InboxBadge() {
  const waiting = useWaiting();
  if (!waiting) return null;
  return (
    <span className="badge-count">
      {waiting}
      <span className="hidden"> waiting</span>
    </span>
  );
}

const THEME_NAMES: Record<Theme, string> = { system: "As the system", light: "Light", dark: "Dark" };

function ThemeSwitch() {
  const [theme, setTheme] = useTheme();
  const options = THEMES.map((value) => ({ value, name: THEME_NAMES[value] }));
  return <Choice label="Theme" value={theme} options={options} onChange={setTheme} />;
}
