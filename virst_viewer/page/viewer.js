// What the viewer's server says, shown; what a person wants, told to it.
// Whatever was written by people is data: it becomes text, never a part of the page.
"use strict";

const $ = (id) => document.getElementById(id);
const HISTORY = 120; // frames of the sparkline
const AGAIN_MS = 1500;

const picture = $("picture");
const pen = picture.getContext("2d");
const lines = new Map(); // id of a query -> its line in the list
const latencies = [];
let socket = null;
let announced = false; // the next message is a picture

function connect() {
  const token = decodeURIComponent(location.hash.slice(1));
  const address = new URL("live", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  address.hash = "";
  try {
    socket = new WebSocket(address, token ? ["virst", token] : ["virst"]);
  } catch {
    link("the address holds no usable token", false);
    return;
  }
  socket.onopen = () => link("live", true);
  socket.onclose = () => {
    link(token ? "no connection" : "no connection, or no token", false);
    announced = false;
    setTimeout(connect, AGAIN_MS);
  };
  socket.onmessage = (message) => take(message.data);
}

function tell(wish) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(wish));
}

async function take(data) {
  if (typeof data !== "string") {
    await draw(data);
    shown();
    return;
  }
  const message = JSON.parse(data);
  if ("said" in message) {
    $("said").textContent = message.said;
    $("said").classList.toggle("refused", !message.done);
    return;
  }
  showState(message.state, message.picture);
  if (!message.picture) shown();
}

// A page that nobody sees shows nothing, and so asks for nothing.
function shown() {
  requestAnimationFrame(() => tell({ do: "shown" }));
}

async function draw(blob) {
  let image;
  try {
    image = await createImageBitmap(blob);
  } catch {
    return; // damaged: the next one comes
  }
  if (picture.width !== image.width || picture.height !== image.height) {
    picture.width = image.width;
    picture.height = image.height;
  }
  pen.drawImage(image, 0, 0);
  image.close();
  picture.dataset.drawn = Number(picture.dataset.drawn || 0) + 1;
}

function link(text, isLive) {
  $("link").textContent = text;
  $("link").classList.toggle("live", isLive);
}

function showState(state, hasPicture) {
  $("title").textContent = state.title;
  show("trouble", state.trouble);
  $("rate").textContent = state.rate_hz ? state.rate_hz.toFixed(1) : "–";
  const known = state.latency_ms !== null && state.rate_hz > 0;
  $("latency").textContent = known ? Math.round(state.latency_ms) : "–";
  if (hasPicture && known) spark(state.latency_ms);
  showQueries(state.queries);
  showTalk(state.talk, state.silent);
}

function show(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
  $(id).hidden = !text;
}

function spark(latency) {
  latencies.push(latency);
  if (latencies.length > HISTORY) latencies.shift();
  const most = Math.max(50, ...latencies);
  const points = latencies.map((ms, i) => `${i * 120 / (HISTORY - 1)},${27 - 26 * ms / most}`);
  $("spark").setAttribute("points", points.join(" "));
}

function showQueries(queries) {
  // Another stream begins its ids anew: the same id may be another sentence.
  const named = new Map(queries.map((query) => [query.id, nameOf(query)]));
  for (const [id, line] of lines) {
    if (named.get(id) === line.dataset.name) continue;
    line.remove();
    lines.delete(id);
  }
  for (const query of queries) {
    if (!lines.has(query.id)) {
      lines.set(query.id, newLine(query));
      $("queries").append(lines.get(query.id));
    }
    const state = lines.get(query.id).querySelector("small");
    if (state.textContent !== query.state) state.textContent = query.state;
  }
  $("nothing").hidden = queries.length > 0;
}

function nameOf(query) {
  return JSON.stringify([query.text, query.colour]);
}

function newLine(query) {
  const line = document.createElement("li");
  line.dataset.name = nameOf(query);
  const mark = document.createElement("i");
  mark.style.backgroundColor = `rgb(${query.colour.join(" ")})`;
  const words = document.createElement("div");
  words.append(query.text, document.createElement("small"));
  const cross = document.createElement("button");
  cross.type = "button";
  cross.textContent = "×";
  cross.setAttribute("aria-label", `Remove ${query.text}`);
  cross.onclick = () => tell({ do: "remove", id: query.id });
  line.append(mark, words, cross);
  return line;
}

function showTalk(talk, silent) {
  show("silent", silent);
  const busy = Boolean(talk) && talk.state === "answering";
  for (const part of $("ask").elements) part.disabled = Boolean(silent) || busy;
  $("talk").hidden = !talk;
  $("stop").hidden = !busy;
  if (!talk) return;
  $("question").textContent = talk.question;
  const words = talk.text || (busy ? "…" : "(nothing)");
  if ($("answer").textContent !== words) $("answer").textContent = words;
  $("answer").classList.toggle("failed", talk.state === "failed");
}

function onSubmit(id, wish) {
  $(id).onsubmit = (event) => {
    event.preventDefault();
    const field = $(id).elements.text;
    if (!field.value.trim()) return;
    tell({ do: wish, text: field.value });
    field.value = "";
  };
}

onSubmit("add", "add");
onSubmit("ask", "ask");
$("stop").onclick = () => tell({ do: "stop" });
connect();
