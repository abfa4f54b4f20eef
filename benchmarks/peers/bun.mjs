// Bun's native server: every text that a socket sends is published to its room (?room_id=), as it is.
//     bun bun.mjs PORT
const server = Bun.serve({
  port: Number(process.argv[2]),
  hostname: "127.0.0.1",
  fetch(request, server) {
    const room = new URL(request.url).searchParams.get("room_id");
    if (server.upgrade(request, { data: { room } })) return;
    return new Response("");
  },
  websocket: {
    perMessageDeflate: false,
    open(socket) {
      socket.subscribe(socket.data.room);
    },
    message(socket, text) {
      server.publish(socket.data.room, text);
    },
  },
});
