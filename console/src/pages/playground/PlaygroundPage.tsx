import { Empty, Page } from "../../ui/Page";

export function PlaygroundPage() {
  return (
    <Page title="Playground">
      <Empty title="Nothing here yet." />
    </Page>
  );
}
