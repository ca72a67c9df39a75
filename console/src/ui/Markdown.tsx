import { lazy, Suspense } from "react";

const Body = lazy(() => import("./MarkdownBody"));

/** Markdown that somebody or a model wrote. Until the renderer is there the text itself is shown. */
export function Markdown({ text }: { text: string }) {
  return (
    <Suspense fallback={<p className="plain">{text}</p>}>
      <Body text={text} />
    </Suspense>
  );
}
