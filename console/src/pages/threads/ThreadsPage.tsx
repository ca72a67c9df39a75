import { Empty, Page } from "../../ui/Page";

export function ThreadsPage() {
  return (
    <Page title="Threads">
      <Empty title="Nothing here yet." />
    </Page>
  );
}
