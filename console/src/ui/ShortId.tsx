/** The end of an id, in which ids differ; the whole one in its title. Short names are shown whole. */
export function ShortId({ id }: { id: string }) {
  const isUuid = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(id);
  return (
    <code title={id} className="id">
      {isUuid ? id.slice(-8) : id}
    </code>
  );
}
