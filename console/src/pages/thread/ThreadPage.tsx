import { Empty, Page } from "../../ui/Page";

export function ThreadPage() {
  return (
    <Page title="Thread">
      <Empty title="Nothing here yet." />
    </Page>
  );
}
