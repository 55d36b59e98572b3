package main

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"strings"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A transport is a way to stream: it opens a URL for a command with stdout,
// and stdin if asked for. It is no more than what is needed to move bytes, so
// that the server is what is measured.
type transport struct {
	name string
	open func(u *url.URL, stdin bool) (*streams, error)
}

// streams are a command's, as its client has them.
type streams struct {
	conn net.Conn
	// frame puts the head of a frame with n bytes of stdin before them.
	frame func(n int) []byte
	// closeStdin is the frame that ends stdin.
	closeStdin []byte
	// drain reads until the server has ended, and says how many bytes of stdout came.
	drain func() (int64, error)
	// ready is closed when stdin may be sent.
	ready chan struct{}
}

var transports = []transport{{"spdy", openSPDY}, {"websocket", openWebSocket}}

const chunk = 64 << 10

// streaming has a container print and swallow a file of -stream-bytes, over
// each transport. With -null the same is asked of a command that serves such
// URLs from memory: what the transport alone can do.
func (b *bench) streaming(ctx context.Context, s *Suite) error {
	var null *nullServer
	if b.o.Null != "" {
		var err error
		if null, err = startNull(b.o.Null); err != nil {
			return err
		}
		defer null.stop()
	}
	p := b.o.newPod()
	if err := b.c.runSandbox(ctx, b.o, p); err != nil {
		return err
	}
	if err := b.c.create(ctx, b.o, p, idle...); err != nil {
		return err
	}
	if err := b.c.start(ctx, p); err != nil {
		return err
	}
	b.o.StreamBytes -= b.o.StreamBytes % chunk
	fill := []string{"sh", "-c", fmt.Sprintf("dd if=/dev/zero of=/big bs=64k count=%d", b.o.StreamBytes/chunk)}
	if r, err := b.c.rt.ExecSync(ctx, &cri.ExecSyncRequest{ContainerId: p.container, Cmd: fill}); err != nil || r.ExitCode != 0 {
		return fmt.Errorf("make the file: %v %s", err, r.GetStderr())
	}
	from := func(stdin bool) (string, error) {
		req := &cri.ExecRequest{ContainerId: p.container, Cmd: []string{"cat", "/big"}, Stdout: true}
		if stdin {
			// ends by itself when it has all, as not every protocol can end stdin
			dd := fmt.Sprintf("dd of=/dev/null bs=64k iflag=fullblock count=%d 2> /dev/null && echo taken", b.o.StreamBytes/chunk)
			req.Cmd, req.Stdin = []string{"sh", "-c", dd}, true
		}
		r, err := b.c.rt.Exec(ctx, req)
		return r.GetUrl(), err
	}
	for range b.o.Rounds {
		for _, tr := range transports {
			alone := map[string]float64{}
			if null != nil {
				var err error
				if alone, err = b.stream(s, tr, "null server ", null.url); err != nil {
					return err
				}
			}
			rates, err := b.stream(s, tr, "", from)
			if err != nil {
				return err
			}
			for _, way := range []string{"out", "in"} {
				if alone[way] > 0 {
					s.set(fmt.Sprintf("%s %s of null server %%", tr.name, way), 100*rates[way]/alone[way])
				}
			}
		}
	}
	return b.c.removePod(ctx, p)
}

// stream measures one transport both ways, and answers MB/s by way.
func (b *bench) stream(s *Suite, tr transport, prefix string, from func(stdin bool) (string, error)) (map[string]float64, error) {
	rates := map[string]float64{}
	for _, stdin := range []bool{false, true} {
		raw, err := from(stdin)
		if err != nil {
			return nil, err
		}
		u, err := url.Parse(raw)
		if err != nil {
			return nil, err
		}
		m := startMeter(b.o)
		t := time.Now()
		st, err := tr.open(u, stdin)
		if err != nil {
			m.end()
			return nil, fmt.Errorf("%s: %w", tr.name, err)
		}
		want, way := b.o.StreamBytes, "out"
		if stdin {
			want, way = int64(len("taken\n")), "in"
			go st.send(b.o.StreamBytes)
		}
		n, err := st.drain()
		d := time.Since(t)
		cpu, _, _ := m.end()
		st.conn.Close()
		if err != nil || n != want {
			return nil, fmt.Errorf("%s%s %s: %d of %d bytes: %v", prefix, tr.name, way, n, want, err)
		}
		rates[way] = float64(b.o.StreamBytes) / 1e6 / d.Seconds()
		s.set(fmt.Sprintf("%s%s %s MB/s", prefix, tr.name, way), rates[way])
		if prefix == "" {
			s.set(fmt.Sprintf("%s %s CPU s", tr.name, way), cpu)
		}
	}
	return rates, nil
}

// send writes n bytes to stdin, and ends it.
func (st *streams) send(n int64) {
	<-st.ready
	data := make([]byte, chunk)
	for n > 0 {
		k := int(min(n, chunk))
		v := net.Buffers{st.frame(k), data[:k]}
		if _, err := v.WriteTo(st.conn); err != nil {
			return // the reader tells
		}
		n -= int64(k)
	}
	_, _ = st.conn.Write(st.closeStdin)
}

// upgrade asks for another protocol, and answers what reads it.
func upgrade(u *url.URL, method string, headers ...string) (net.Conn, *bufio.Reader, error) {
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\n%s\r\n\r\n", method, u.RequestURI(), u.Host, strings.Join(headers, "\r\n"))
	r := bufio.NewReaderSize(c, 1<<20)
	first, err := r.ReadString('\n')
	for line := first; err == nil && line != "\r\n"; {
		line, err = r.ReadString('\n')
	}
	if err == nil && !strings.Contains(first, " 101 ") {
		err = errors.New(strings.TrimSpace(first))
	}
	return c, r, err
}

// openSPDY opens the streams of SPDY/3.1 that v4.channel.k8s.io wants. Header
// blocks go out uncompressed but for their zlib frame.
func openSPDY(u *url.URL, stdin bool) (*streams, error) {
	c, r, err := upgrade(u, "POST", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io")
	if err != nil {
		return nil, err
	}
	var block bytes.Buffer
	z, _ := zlib.NewWriterLevel(&block, zlib.NoCompression)
	types := []string{"error", "stdout", "stdin"}
	if !stdin {
		types = types[:2]
	}
	for i, t := range types {
		block.Reset()
		_ = binary.Write(z, binary.BigEndian, []uint32{1, 10})
		_, _ = io.WriteString(z, "streamtype")
		_ = binary.Write(z, binary.BigEndian, uint32(len(t)))
		_, _ = io.WriteString(z, t)
		_ = z.Flush()
		head := make([]byte, 18)
		binary.BigEndian.PutUint32(head, 0x80030001)
		binary.BigEndian.PutUint32(head[4:], uint32(10+block.Len()))
		binary.BigEndian.PutUint32(head[8:], uint32(2*i+1))
		if _, err = c.Write(append(head, block.Bytes()...)); err != nil {
			return nil, err
		}
	}
	head := func(length uint32) []byte {
		h := make([]byte, 8)
		binary.BigEndian.PutUint32(h, 5)
		binary.BigEndian.PutUint32(h[4:], length)
		return h
	}
	ready := make(chan struct{})
	return &streams{
		conn:       c,
		ready:      ready,
		frame:      func(n int) []byte { return head(uint32(n)) },
		closeStdin: head(1 << 24),
		drain: func() (n int64, err error) {
			var h [8]byte
			for {
				if _, err = io.ReadFull(r, h[:]); err != nil {
					if err == io.EOF {
						err = nil
					}
					return n, err
				}
				length := int(binary.BigEndian.Uint32(h[4:]) & 0xffffff)
				switch first := binary.BigEndian.Uint32(h[:]); first {
				case 3:
					n += int64(length)
				case 0x80030002: // SYN_REPLY
					var id uint32
					if err = binary.Read(r, binary.BigEndian, &id); err != nil {
						return n, err
					}
					if length -= 4; id == 5 {
						close(ready)
					}
				case 0x80030007: // GOAWAY
					return n, nil
				}
				if _, err = r.Discard(length); err != nil {
					return n, err
				}
			}
		},
	}, nil
}

// openWebSocket speaks the newest channel protocol that the server has.
func openWebSocket(u *url.URL, stdin bool) (*streams, error) {
	c, r, err := upgrade(u, "GET", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: Y3JpYmVuY2hjcmliZW5jaA==", "Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io")
	if err != nil {
		return nil, err
	}
	// a mask such as clients use: the server has to take it off. What the bytes are then does not matter.
	mask := []byte{0x37, 0xfa, 0x21, 0x3d}
	head := func(opcode byte, n int, channel ...byte) []byte {
		h := []byte{0x80 | opcode, 0xff}
		h = binary.BigEndian.AppendUint64(h, uint64(n+len(channel)))
		h = append(h, mask...)
		for i, b := range channel {
			h = append(h, b^mask[i%4])
		}
		return h
	}
	ready := make(chan struct{})
	close(ready)
	return &streams{
		conn:       c,
		ready:      ready,
		frame:      func(n int) []byte { return head(2, n, 0) },
		closeStdin: head(2, 0, 255, 0),
		drain: func() (n int64, err error) {
			for {
				var h [2]byte
				if _, err = io.ReadFull(r, h[:]); err != nil {
					return n, err
				}
				length := uint64(h[1] & 0x7f)
				if length > 125 {
					var more [8]byte
					k := map[uint64]int{126: 2, 127: 8}[length]
					if _, err = io.ReadFull(r, more[8-k:]); err != nil {
						return n, err
					}
					length = binary.BigEndian.Uint64(more[:])
				}
				if h[0]&15 == 8 { // close
					return n, nil
				}
				if length == 0 {
					continue
				}
				ch, err := r.ReadByte()
				if err != nil {
					return n, err
				}
				if ch == 1 {
					n += int64(length) - 1
				}
				if _, err = r.Discard(int(length) - 1); err != nil {
					return n, err
				}
			}
		},
	}, nil
}

// A nullServer answers each line on its stdin, "out" or "in", with a URL.
type nullServer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startNull(command string) (*nullServer, error) {
	cmd := exec.Command("sh", "-c", "exec "+command)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &nullServer{cmd, in, bufio.NewReader(out)}, nil
}

func (n *nullServer) url(stdin bool) (string, error) {
	way := "out"
	if stdin {
		way = "in"
	}
	if _, err := fmt.Fprintln(n.in, way); err != nil {
		return "", err
	}
	line, err := n.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

func (n *nullServer) stop() {
	_ = n.in.Close()
	_ = n.cmd.Wait()
}
