// The official OpenAI client for Node, unmodified, against a gateway: node sdk.mjs BASE_URL.
// Prints "ok NAME" or "FAILED NAME: why" per test, for ./run.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "sk-of-the-client", maxRetries: 0 });
const user = (content) => [{ role: "user", content }];
const locked = (apiKey) => new OpenAI({ baseURL: process.env.LOCKED_URL, apiKey, maxRetries: 0 });

const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      parameters: { type: "object", properties: { city: { type: "string" } } },
    },
  },
];

const tests = {
  async chat() {
    const reply = await client.chat.completions.create({ model: "remote", messages: user("hi") });
    assert.equal(reply.choices[0].message.content, "you said: hi");
    assert.equal(reply.choices[0].finish_reason, "stop");
    assert.equal(reply.usage.total_tokens, 5);
  },

  async chat_with_a_kernel() {
    const reply = await client.chat.completions.create({
      model: "parrot",
      messages: user("say é漢😀"),
    });
    assert.equal(reply.choices[0].message.content, "say é漢😀");
    assert.ok(reply.usage.total_tokens > 0);
  },

  async stream() {
    const stream = await client.chat.completions.create({
      model: "remote",
      messages: user("a b c"),
      stream: true,
    });
    let text = "";
    let finish = null;
    for await (const chunk of stream) {
      assert.equal(chunk.choices.length, 1, "an event without choices that nobody asked for");
      text += chunk.choices[0].delta.content ?? "";
      finish = chunk.choices[0].finish_reason ?? finish;
    }
    assert.equal(text, "you said: a b c");
    assert.equal(finish, "stop");
  },

  async stream_of_a_kernel_with_usage() {
    const stream = await client.chat.completions.create({
      model: "parrot",
      messages: user("one two three"),
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let usage = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, "one two three");
    assert.ok(usage.completion_tokens > 0);
  },

  async stream_that_breaks_is_an_error() {
    const stream = await client.chat.completions.create({
      model: "remote",
      messages: user("break after one token"),
      stream: true,
    });
    await assert.rejects(async () => {
      for await (const _ of stream);
    }, OpenAI.APIError);
  },

  async leaving_a_stream() {
    const stream = await client.chat.completions.create({
      model: "remote",
      messages: user("go on for ever"),
      stream: true,
    });
    for await (const _ of stream) break;
    const reply = await client.chat.completions.create({ model: "remote", messages: user("hi") });
    assert.equal(reply.choices[0].message.content, "you said: hi");
  },

  async tool_calls() {
    const reply = await client.chat.completions.create({
      model: "remote",
      messages: user("weather in Wien"),
      tools,
    });
    const call = reply.choices[0].message.tool_calls[0];
    assert.equal(call.function.name, "get_weather");
    assert.deepEqual(JSON.parse(call.function.arguments), { city: "Wien" });
    const answer = await client.chat.completions.create({
      model: "remote",
      tools,
      messages: [
        ...user("weather in Wien"),
        reply.choices[0].message,
        { role: "tool", tool_call_id: call.id, content: "sunny" },
      ],
    });
    assert.equal(answer.choices[0].message.content, "you said: sunny");
  },

  async embeddings() {
    const reply = await client.embeddings.create({ model: "vectors", input: ["a", "bcd"] });
    assert.deepEqual(
      reply.data.map((item) => item.embedding),
      [
        [1, 0.5],
        [3, 0.5],
      ],
    );
    assert.equal(reply.usage.total_tokens, 3);
  },

  async embeddings_as_numbers_and_shorter() {
    const reply = await client.embeddings.create({
      model: "vectors",
      input: "ab",
      encoding_format: "float",
      dimensions: 1,
    });
    assert.deepEqual(reply.data[0].embedding, [2]);
  },

  async embeddings_of_a_kernel() {
    const reply = await client.embeddings.create({ model: "words", input: "a dog" });
    assert.equal(reply.data[0].embedding.length, 62);
  },

  async empty_input_is_bad_request() {
    await assert.rejects(
      client.embeddings.create({ model: "vectors", input: "" }),
      (error) => error instanceof OpenAI.BadRequestError && error.param === "input",
    );
  },

  async models() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    for (const id of ["auto", "remote", "parrot", "category/general"])
      assert.ok(ids.includes(id), `${id} is not in ${ids}`);
  },

  async unknown_model_is_not_found() {
    await assert.rejects(
      client.chat.completions.create({ model: "nobody", messages: user("hi") }),
      (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found",
    );
  },

  async missing_messages_is_bad_request() {
    await assert.rejects(
      client.chat.completions.create({ model: "remote" }),
      (error) => error instanceof OpenAI.BadRequestError && error.param === "messages",
    );
  },

  async rate_limit_of_the_expert() {
    await assert.rejects(
      client.chat.completions.create({ model: "remote", messages: user("429") }),
      (error) => error instanceof OpenAI.RateLimitError && error.headers.get("retry-after") === "7",
    );
  },

  async a_key_opens() {
    const reply = await locked("sk-good").chat.completions.create({ model: "parrot", messages: user("hi") });
    assert.equal(reply.choices[0].message.content, "hi");
  },

  async a_wrong_key_is_an_authentication_error() {
    await assert.rejects(
      locked("sk-bad").models.list(),
      (error) => error instanceof OpenAI.AuthenticationError && error.code === "invalid_api_key",
    );
  },

  async expert_that_is_away_is_a_server_error() {
    await assert.rejects(
      client.chat.completions.create({ model: "away", messages: user("hi") }),
      (error) => error instanceof OpenAI.InternalServerError && error.status === 502,
    );
  },
};

for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${String(error).replaceAll("\n", " ").slice(0, 500)}`);
  }
}
process.exit(0);
