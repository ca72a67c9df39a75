import { Empty, Page } from "../../ui/Page";

export function InboxPage() {
  return (
    <Page title="Inbox">
      <Empty title="Nothing here yet." />
    </Page>
  );
}
