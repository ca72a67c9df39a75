import type { Json, JsonObject } from "../../api/types";
import { Details } from "../../ui/Details";
import { JsonView } from "../../ui/JsonView";
import { Markdown } from "../../ui/Markdown";
import { isObject } from "./messages";

/** One part of a message: text, reasoning, an image; what is not known is shown as JSON. */
export function Block({ block }: { block: Json }) {
  if (typeof block === "string") return <Markdown text={block} />;
  if (!isObject(block)) return <JsonView label="Content" value={block} />;
  if (typeof block.text === "string") return <Markdown text={block.text} />;
  const thought = thoughtOf(block);
  if (thought !== null)
    return (
      <Details summary="Reasoning">
        <p className="plain">{thought}</p>
      </Details>
    );
  const image = imageOf(block);
  if (image !== null)
    // Only what came with the message is shown: another host would be told who reads this.
    return image.startsWith("data:image/") ? (
      <img src={image} alt="In the message" className="message-image" />
    ) : (
      <a href={/^https?:/.test(image) ? image : undefined} target="_blank" rel="noopener noreferrer nofollow">
        Image
      </a>
    );
  // Calls are shown from `tool_calls`.
  if (block.type === "tool_use" || block.type === "tool_call" || block.type === "input_json_delta") return null;
  return <JsonView label="Content" value={block} />;
}

function thoughtOf(block: JsonObject): string | null {
  for (const name of ["reasoning", "thinking"]) if (typeof block[name] === "string") return block[name];
  const { summary } = block;
  if (block.type !== "reasoning" || !Array.isArray(summary)) return null;
  return summary.map((part) => (isObject(part) && typeof part.text === "string" ? part.text : "")).join("\n");
}

/** An image's address, in the formats of OpenAI, Anthropic and LangChain. */
function imageOf(block: JsonObject): string | null {
  if (block.type === "image_url") {
    const image = block.image_url;
    if (typeof image === "string") return image;
    return isObject(image) && typeof image.url === "string" ? image.url : null;
  }
  if (block.type !== "image") return null;
  const source = isObject(block.source) ? block.source : block;
  const data = source.data ?? source.base64;
  const kind = source.media_type ?? source.mime_type ?? "image/png";
  if (typeof data === "string") return `data:${String(kind)};base64,${data}`;
  return typeof source.url === "string" ? source.url : null;
}
