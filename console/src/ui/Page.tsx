import { type ReactNode, useEffect } from "react";

interface Props {
  title: string;
  /** What stands beside the title: buttons, a state. */
  beside?: ReactNode;
  children: ReactNode;
}

/** A page with its title, which is the tab's too. */
export function Page({ title, beside, children }: Props) {
  useEffect(() => {
    document.title = `${title} · Relayrun`;
  }, [title]);
  return (
    <div className="page">
      <div className="page-head">
        <h1>{title}</h1>
        {beside}
      </div>
      {children}
    </div>
  );
}

/** There is nothing here, and what to do about it. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p>{title}</p>
      {children}
    </div>
  );
}
