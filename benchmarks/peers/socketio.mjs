// Socket.IO, on its WebSocket transport: every "message" that a socket sends is emitted to its room (?room_id=).
//     node socketio.mjs PORT
import { createServer } from "node:http";
import { Server } from "socket.io";

const server = createServer((_request, response) => response.end());
const io = new Server(server, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });

io.on("connection", (socket) => {
  const room = socket.handshake.query.room_id;
  socket.join(room);
  socket.on("message", (data) => io.to(room).emit("message", data));
});

server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
