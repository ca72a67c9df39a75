import { Empty, Page } from "../../ui/Page";

export function RunPage() {
  return (
    <Page title="Run">
      <Empty title="Nothing here yet." />
    </Page>
  );
}
