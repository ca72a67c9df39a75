import { Empty, Page } from "../../ui/Page";

export function RunsPage() {
  return (
    <Page title="Runs">
      <Empty title="Nothing here yet." />
    </Page>
  );
}
